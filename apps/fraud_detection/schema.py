"""What the columns of a table of transactions mean. No TensorFlow here."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, Self

from shared import errors, files

AUTO = "auto"
# Begins the names of columns that are computed from others (``inputs``).
COMPUTED = "computed:"
TIME_FORMATS = (AUTO, "day-first", "month-first", "yyyymmdd", "excel")
# What one unit of a time column is, in seconds; "datetime" is a calendar time.
UNITS = {
    "datetime": 1.0,
    "seconds": 1.0,
    "minutes": 60.0,
    "hours": 3_600.0,
    "days": 86_400.0,
    "months": 30.4375 * 86_400,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schema:
    """The role of each column; columns without a role are not read.

    Attributes:
        time: When the transaction happened.
        time_unit: One of ``UNITS``; all but "datetime" count from the beginning of the file.
        amount: Money moved; None where the table has none.
        currency: Of the amount, for reasons in words; may be empty.
        entities: Role -> column of who takes part; histories are kept for each. The first is who pays (card, customer,
            account), whom alerts are about; another may be who is paid (terminal, merchant).
        numeric: Further columns of numbers, which may be missing.
        categorical: Further columns of names, which may be missing.
        label: 1, true, yes or fraud for a fraud; None where the table is not labelled.
        id: Names the transaction; None: its row number does.
        group: Group over which error rates are compared; never a feature.
        scenario: Kind of fraud, for the report only.
        weight: How many transactions of the population the row stands for.
        clock: The time of day, where ``time`` holds days only.
        time_format: One of ``TIME_FORMATS``: how calendar times are written; "auto" is the year first, a type of
            parquet, or a count since 1970.
        decimal: Column of numbers -> how they are written: "point" (with thousands separators) or "comma", and the
            currency whose sign they bear behind a space; those not named here are written plainly.
        label_delay_days: After how many days the label of a transaction is known.
    """

    time: str
    time_unit: str = "datetime"
    amount: str | None = None
    currency: str = ""
    entities: Mapping[str, str] = dataclasses.field(default_factory=dict)
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    label: str | None = None
    id: str | None = None
    group: str | None = None
    scenario: str | None = None
    weight: str | None = None
    label_delay_days: float = 7.0
    clock: str | None = None
    time_format: str = AUTO
    decimal: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no table could follow.

        Raises:
            errors.InputError: The unit is unknown, the delay negative, or a column has two roles as a feature.
        """
        if self.time_unit not in UNITS:
            known = ", ".join(UNITS)
            raise errors.InputError(f"schema: expected a time_unit out of {known}. Received: {self.time_unit!r}")
        if self.time_format not in TIME_FORMATS:
            known = ", ".join(TIME_FORMATS)
            raise errors.InputError(f"schema: expected a time_format out of {known}. Received: {self.time_format!r}")
        for column, written in self.decimal.items():
            if written.partition(" ")[0] not in ("point", "comma"):
                raise errors.InputError(
                    f"schema: expected decimal of {column!r} to be point or comma. Received: {written!r}"
                )
        if not 0 <= self.label_delay_days < 3_650:
            raise errors.InputError(
                f"schema: expected label_delay_days from 0 to 3650. Received: {self.label_delay_days!r}"
            )
        reserved = sorted(name for name in (*self.numeric, *self.categorical) if name.startswith(COMPUTED))
        if reserved:
            raise errors.InputError(
                f"schema: expected columns whose names do not begin with {COMPUTED!r}. Received: {', '.join(reserved)}"
            )
        features = [*self.numeric, *self.categorical, *([self.label] if self.label else [])]
        twice = sorted({name for name in features if features.count(name) > 1})
        if twice:
            raise errors.InputError(f"schema: expected each column in one role. Received twice: {', '.join(twice)}")

    @property
    def payer(self) -> str | None:
        """Role of the entity whom alerts are about; None where rows name nobody."""
        return next(iter(self.entities), None)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column with a role, each once."""
        found = (self.id, *self.needed, self.label, self.group, self.scenario, self.weight)
        return tuple(dict.fromkeys(name for name in found if name is not None))

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns without which a row cannot be scored."""
        found = (self.time, self.clock, self.amount, *self.entities.values(), *self.numeric, *self.categorical)
        return tuple(dict.fromkeys(name for name in found if name is not None))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        lists = {name: list(getattr(self, name)) for name in ("numeric", "categorical")}
        return {**vars(self), "entities": dict(self.entities), "decimal": dict(self.decimal), **lists}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, where: str = "schema") -> Self:
        """Read what ``to_json`` wrote, or what a person did.

        Raises:
            errors.InputError: A field is unknown or has another type; the message names it.
        """
        kinds: dict[str, Any] = {
            "entities": dict,
            "numeric": list,
            "categorical": list,
            "label_delay_days": int | float,
            "decimal": dict,
        }
        known = [field.name for field in dataclasses.fields(cls)]
        for name, value in content.items():
            if name not in known:
                raise errors.InputError(f"{where}: expected fields out of {', '.join(known)}. Received: {name!r}")
            optional = value is None and name not in ("time", "time_unit", "time_format", "currency", *kinds)
            inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            if not optional and (
                not isinstance(value, kinds.get(name, str)) or not all(isinstance(each, str) for each in inside)
            ):
                raise errors.InputError(f"{where}: expected {name} as the schema documents it. Received: {value!r}")
        if not content.get("time"):
            raise errors.InputError(f"{where}: expected the field 'time', the column of the time. Received: none")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
        }
        try:
            return cls(**values)
        except errors.InputError as error:
            raise errors.InputError(f"{where}: {str(error).removeprefix('schema: ')}") from None

    @classmethod
    def load(cls, path: pathlib.Path) -> Self:
        """Read a schema file (JSON)."""
        if not path.is_file():
            raise errors.InputError(f"{path}: expected a schema file (JSON). Received: no such file")
        return cls.from_json(files.read_json(path), where=str(path))
