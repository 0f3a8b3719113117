"""The app's question in its smallest form, for ``fieldnets explain-training``: two numbers to be checked by eye."""

import numpy as np

from apps.fraud_detection import simulator
from shared.training import by_hand

ROWS = 200


def problem(seed: int) -> by_hand.Problem:
    """Ask of simulated transactions, half of them frauds, what they are, by amount, alone and beside the usual one."""
    table = simulator.simulate(simulator.World(customers=300, terminals=600, days=60, seed=seed))
    usual = table.groupby("CUSTOMER_ID")["TX_AMOUNT"].transform("median")
    table = table.assign(times=table["TX_AMOUNT"] / usual.clip(lower=0.01))
    chosen = (
        table.groupby("TX_FRAUD").sample(ROWS // 2, random_state=seed, replace=True).sample(frac=1, random_state=seed)
    )
    return by_hand.Problem(
        title="Is a card transaction a fraud?",
        features=("logarithm (base 10) of the amount in EUR", "amount divided by the card's usual one"),
        classes=("genuine", "fraud"),
        raw=np.column_stack([np.log10(chosen["TX_AMOUNT"].clip(lower=0.01)), chosen["times"]]),
        labels=chosen["TX_FRAUD"].to_numpy(np.int64),
        names=[
            f"{row.TX_AMOUNT:.2f} EUR by card {row.CUSTOMER_ID} at terminal {row.TERMINAL_ID}"
            for row in chosen.itertuples()
        ],
    )
