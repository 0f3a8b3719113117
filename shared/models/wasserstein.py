"""A Wasserstein GAN with gradient penalty as a Keras model: ``fit`` trains it.

WGAN-GP (Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028) because its loss falls as the samples become better,
it needs no balance between the two networks, and one setting serves images and table columns. What is kept is the
average of the generator's weights (Yazıcı et al. 2019, https://arxiv.org/abs/1806.04498).

For the TensorFlow backend: the penalty is a gradient of a gradient, for which Keras has no function.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from shared.models import building

_MEASURES = ("loss", "wasserstein", "gradient_norm", "generator_loss")


def gradient_penalty(score: Callable[[Any], Any], samples: Any) -> tuple[Any, Any]:
    """Return the mean of (|gradient of score at a sample| - 1)², and the mean gradient norm.

    Gulrajani et al. 2017, equation 3. A critic whose gradient has norm 1 between real and generated samples is the
    one whose difference of means is the Wasserstein-1 distance.

    Args:
        score: (batch, ...) samples to (batch, 1), each row on its own.
        samples: (batch, ...) float32, points between real and generated ones.
    """
    with tf.GradientTape() as tape:
        tape.watch(samples)
        scores = score(samples)
    gradients = tape.gradient(scores, samples)
    axes = list(range(1, len(samples.shape)))
    # The root has no slope at 0, where a rectifier's gradient often is.
    norms = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=axes) + 1e-12)
    return tf.reduce_mean(tf.square(norms - 1)), tf.reduce_mean(norms)


class WassersteinGan(keras.Model):  # type: ignore[misc]
    """Generator and critic, trained against each other by ``fit`` on (samples, labels).

    A step cuts its batch into ``critic_steps`` parts, trains the critic on each, and then the generator once. Called
    or asked to predict, the model answers with the averaged generator. One device only.

    Attributes:
        generator: {noise, label} -> sample.
        critic: {sample, label} -> (batch, 1).
        average: The generator with the moving average of its weights; what is kept.
    """

    def __init__(
        self,
        generator: keras.Model,
        critic: keras.Model,
        *,
        critic_steps: int = 2,
        penalty_weight: float = 10.0,
        ema_momentum: float = 0.999,
        seed: int = 0,
    ) -> None:
        """Join two networks; they share nothing, so they may draw vectors as well as images.

        Args:
            generator: As `gan.build_generator` returns.
            critic: As `gan.build_critic` returns, without BatchNorm: the penalty is one of each row.
            critic_steps: Updates of the critic for one of the generator.
            penalty_weight: λ of the paper.
            ema_momentum: Of the average, in (0, 1); the first steps forget faster.
            seed: Of the noise while training.

        Raises:
            ValueError: An argument is outside its range.
        """
        super().__init__(name="wasserstein_gan")
        building.check_counts("critic_steps", (critic_steps,))
        building.check_rate("ema_momentum", ema_momentum)
        self.generator = generator
        self.critic = critic
        self.average = keras.models.clone_model(generator)
        self.average.set_weights(generator.get_weights())
        self.average.trainable = False
        self.critic_optimizer: Any = None
        self.latent_size = generator.input["noise"].shape[1]
        self._critic_steps = critic_steps
        self._penalty_weight = penalty_weight
        self._ema_momentum = ema_momentum
        self._noise = keras.random.SeedGenerator(seed)
        self._means = {name: keras.metrics.Mean(name=name) for name in _MEASURES}
        self.built = True

    def compile(self, *, optimizer: Any, critic_optimizer: Any) -> None:
        """Give each network its optimizer, with all variables, so that a checkpoint can fill them."""
        super().compile(optimizer=optimizer, jit_compile=False)
        self.critic_optimizer = critic_optimizer
        optimizer.build(self.generator.trainable_variables)
        critic_optimizer.build(self.critic.trainable_variables)

    @property
    def variables(self) -> list[Any]:
        """All that a step changes. Keras knows one optimizer only; a checkpoint must not miss the other."""
        return [*super().variables, *(self.critic_optimizer.variables if self.critic_optimizer else [])]

    @property
    def metrics(self) -> list[Any]:
        """Means over the epoch: loss (of the critic), wasserstein, gradient_norm, generator_loss."""
        return list(self._means.values())

    def call(self, inputs: Any) -> Any:
        """Draw with the averaged generator: {noise, label} -> samples."""
        return self.average(inputs, training=False)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train the critic on each part of the batch, then the generator."""
        samples, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        rows = tf.shape(labels)[0]
        for part in range(self._critic_steps):
            first, last = rows * part // self._critic_steps, rows * (part + 1) // self._critic_steps
            self._train_critic(samples[first:last], labels[first:last])
        self._train_generator(labels[first:last])
        self._update_average()
        return {name: mean.result() for name, mean in self._means.items()}

    def _train_critic(self, real: Any, labels: Any) -> None:
        fake = self._draw(labels)
        between = keras.random.uniform([tf.shape(real)[0], *[1] * (len(real.shape) - 1)], seed=self._noise)
        mixed = fake + between * (real - fake)
        with tf.GradientTape() as tape:
            distance = self._mean_score(real, labels) - self._mean_score(fake, labels)
            penalty, norm = gradient_penalty(lambda sample: self._score(sample, labels), mixed)
            loss = self._penalty_weight * penalty - distance
        variables = self.critic.trainable_variables
        self.critic_optimizer.apply(tape.gradient(loss, variables), variables)
        for name, value in (("loss", loss), ("wasserstein", distance), ("gradient_norm", norm)):
            self._means[name].update_state(value)

    def _train_generator(self, labels: Any) -> None:
        with tf.GradientTape() as tape:
            loss = -self._mean_score(self._draw(labels), labels)
        variables = self.generator.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self._means["generator_loss"].update_state(loss)

    def _draw(self, labels: Any) -> Any:
        noise = keras.random.normal((tf.shape(labels)[0], self.latent_size), seed=self._noise)
        return self.generator({"noise": noise, "label": labels}, training=True)

    def _score(self, samples: Any, labels: Any) -> Any:
        return self.critic({"sample": samples, "label": labels}, training=True)

    def _mean_score(self, samples: Any, labels: Any) -> Any:
        return tf.reduce_mean(self._score(samples, labels))

    def _update_average(self) -> None:
        """Move the average by ``1 - momentum``, which after t steps is at least 9 / (10 + t).

        Otherwise a short training would keep the random start (`tf.train.ExponentialMovingAverage` does the same).
        """
        steps = ops.cast(self.optimizer.iterations, "float32")
        momentum = ops.minimum(self._ema_momentum, (1 + steps) / (10 + steps))
        for average, current in zip(self.average.weights, self.generator.weights, strict=True):
            average.assign(current + momentum * (average - current))
