"""Public data sets that are recognised by the names of their columns, and what those columns mean."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from apps.fraud_detection import schema as schemas
from shared import errors

TABLE = "table"
SIMULATOR = "card-simulator"


class Format(NamedTuple):
    """A data set.

    Attributes:
        identifying: Columns that it always has, labels aside.
        schema: The role of each column that it may have.
        notes: For the report.
    """

    identifying: tuple[str, ...]
    schema: schemas.Schema
    notes: tuple[str, ...] = ()


def _numbered(prefix: str, first: int, last: int, *, width: int = 0) -> tuple[str, ...]:
    return tuple(f"{prefix}{number:0{width}d}" for number in range(first, last + 1))


CARD = (*_numbered("card", 1, 6), "addr1")
_HANDBOOK = Format(
    identifying=("TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT"),
    schema=schemas.Schema(
        time="TX_DATETIME",
        amount="TX_AMOUNT",
        currency="EUR",
        entities={"customer": "CUSTOMER_ID", "terminal": "TERMINAL_ID"},
        label="TX_FRAUD",
        id="TRANSACTION_ID",
        group="CUSTOMER_REGION",
        scenario="TX_FRAUD_SCENARIO",
    ),
)
_ULB = Format(
    identifying=("Time", *_numbered("V", 1, 28), "Amount"),
    schema=schemas.Schema(
        time="Time",
        time_unit="seconds",
        amount="Amount",
        currency="EUR",
        numeric=_numbered("V", 1, 28),
        label="Class",
        label_delay_days=0.0,
    ),
    notes=(
        "ULB credit cards: two days, no card is named: no histories, and intervals take each transaction for a card "
        "of its own; V1 to V28 are principal components",
    ),
)
_PAYSIM = Format(
    identifying=("step", "type", "amount", "nameOrig", "nameDest"),
    schema=schemas.Schema(
        time="step",
        time_unit="hours",
        amount="amount",
        entities={"customer": "nameOrig", "recipient": "nameDest"},
        categorical=("type",),
        label="isFraud",
    ),
    notes=(
        "PaySim is simulated: its results do not carry over to real money",
        "PaySim: oldbalanceOrg, newbalanceOrig, oldbalanceDest and newbalanceDest are left out, as its authors demand: "
        "frauds are annulled, so that the balances give the label away; isFlaggedFraud is another system's decision",
    ),
)
_IEEE_CIS = Format(
    identifying=("TransactionID", "TransactionDT", "TransactionAmt", "ProductCD", "card1"),
    schema=schemas.Schema(
        time="TransactionDT",
        time_unit="seconds",
        amount="TransactionAmt",
        currency="USD",
        entities={"card": "card_key"},
        numeric=(
            *("dist1", "dist2"),
            *_numbered("C", 1, 14),
            *_numbered("D", 1, 15),
            *_numbered("V", 1, 339),
            *_numbered("id_", 1, 11, width=2),
        ),
        categorical=(
            *("ProductCD", *_numbered("card", 1, 6), "addr1", "addr2", "P_emaildomain", "R_emaildomain"),
            *(*_numbered("M", 1, 9), "DeviceType", "DeviceInfo"),
            *_numbered("id_", 12, 38, width=2),
        ),
        label="isFraud",
        id="TransactionID",
    ),
    notes=("IEEE-CIS names no card: card1 to card6 and addr1 together stand for one",),
)
# Numbers in which -1, or for the amount any negative one, means missing (Jesus et al. 2022, datasheet).
BAF_MISSING = (
    "prev_address_months_count",
    "current_address_months_count",
    "intended_balcon_amount",
    "bank_months_count",
    "session_length_in_minutes",
    "device_distinct_emails_8w",
)
_BAF = Format(
    identifying=("month", "proposed_credit_limit", "payment_type", "housing_status", "device_os", "customer_age"),
    schema=schemas.Schema(
        time="month",
        time_unit="months",
        amount="proposed_credit_limit",
        numeric=(
            *BAF_MISSING,
            *("income", "name_email_similarity", "days_since_request", "zip_count_4w"),
            *("velocity_6h", "velocity_24h", "velocity_4w", "bank_branch_count_8w", "date_of_birth_distinct_emails_4w"),
            *("credit_risk_score", "email_is_free", "phone_home_valid", "phone_mobile_valid", "has_other_cards"),
            *("foreign_request", "keep_alive_session", "device_fraud_count", "x1", "x2"),
        ),
        categorical=("payment_type", "employment_status", "housing_status", "source", "device_os"),
        label="fraud_bool",
        group="age_group",
        label_delay_days=0.0,
    ),
    notes=("Bank Account Fraud holds applications for accounts, by month; customer_age is the group, not a feature",),
)
KNOWN: Mapping[str, Format] = {
    "handbook": _HANDBOOK,
    "ulb": _ULB,
    "paysim": _PAYSIM,
    "ieee-cis": _IEEE_CIS,
    "baf": _BAF,
}
# Columns that are computed from others while reading.
SYNTHETIC: Mapping[str, tuple[str, ...]] = {"card_key": CARD, "age_group": ("customer_age",)}
AGE_LIMIT = 50


# What PaySim's frauds, which are annulled, show in the balances, and another system's decision: no table's features.
LEAKING = ("oldbalanceOrg", "oldbalanceOrig", "newbalanceOrig", "oldbalanceDest", "newbalanceDest", "isFlaggedFraud")


def normalised(name: str) -> str:
    """Return a column's name without case and separators.

    >>> normalised("NAME_ORIG"), normalised("id-01")
    ('nameorig', 'id01')
    """
    return re.sub(r"[\W_]", "", name.casefold())


def recognise(names: Collection[str]) -> str:
    """Return the format of a table with these columns, ``TABLE`` where it is none of the known.

    Case and separators do not count.

    >>> recognise(["step", "type", "amount", "NAME_ORIG", "name_dest"])
    'paysim'
    """
    there = set(map(normalised, names))
    return next((name for name, known in KNOWN.items() if set(map(normalised, known.identifying)) <= there), TABLE)


def of(name: str) -> Format:
    """Return a known format by its name, one of ``KNOWN``, or ``SIMULATOR``, which has the columns of the handbook."""
    return KNOWN["handbook" if name == SIMULATOR else name]


def aliases(name: str, names: Collection[str]) -> dict[str, str]:
    """Return what a file of a known format calls columns otherwise than the format does: name of the format -> own.

    >>> aliases("paysim", ["step", "type", "AMOUNT", "name_orig", "name_dest"])["nameOrig"]
    'name_orig'
    """
    if name not in (*KNOWN, SIMULATOR):
        return {}
    schema = of(name).schema
    wanted = [column for each in schema.columns for column in SYNTHETIC.get(each, (each,))]
    own: dict[str, list[str]] = {}
    for column in names:
        own.setdefault(normalised(column), []).append(column)
    meant = {column: own.get(normalised(column), []) for column in wanted if column not in names}
    return {column: found[0] for column, found in meant.items() if len(found) == 1}


def is_leaking(name: str) -> bool:
    """Return whether a column is one of PaySim's that give the label away, whatever the table."""
    return normalised(name) in set(map(normalised, LEAKING))


def refuse_almost(names: Collection[str], *, where: str) -> None:
    """Refuse a table of no known format that has most columns of one: guessing would take its scenario for a feature.

    Raises:
        errors.InputError: It names the format and the columns that are missing.
    """
    if recognise(names) != TABLE:
        return
    there = set(map(normalised, names))
    for name, found in KNOWN.items():
        missing = [column for column in found.identifying if normalised(column) not in there]
        if 2 * len(missing) < len(found.identifying):
            raise errors.InputError(
                f"{where}: expected the columns of {name}, as most are there. Received: a table without "
                f"{', '.join(missing)}. --schema FILE or --data-format table reads it otherwise"
            )


def known(name: str, names: Collection[str], *, where: str) -> schemas.Schema:
    """Return the schema of a known format without the features, groups and scenarios that the file lacks.

    Args:
        name: One of ``KNOWN``, or ``SIMULATOR``.
        names: The columns of the file.
        where: The file, for the message.

    Raises:
        errors.InputError: The file lacks columns that make the format.
    """
    found = of(name)
    missing = [column for column in found.identifying if column not in names]
    if missing:
        raise errors.InputError(
            f"{where}: expected the columns of {name}. Received: a table without {', '.join(missing)}; it has "
            f"{shown(names)}"
        )
    return restrict(found.schema, names)


def restrict(schema: schemas.Schema, names: Collection[str], *, keep: Sequence[str] = ("label",)) -> schemas.Schema:
    """Return a schema without the optional columns that a file lacks, but for the roles in ``keep``."""
    content = schema.to_json()
    for role in ("numeric", "categorical"):
        if role not in keep:
            content[role] = [column for column in content[role] if has(column, names)]
    for role in ("label", "id", "group", "scenario", "weight"):
        if role not in keep and content[role] is not None and not has(content[role], names):
            content[role] = None
    return schemas.Schema.from_json(content)


def has(column: str, names: Collection[str]) -> bool:
    """Return whether a file with these columns gives a column, as it stands or computed."""
    return column in names or (column in SYNTHETIC and SYNTHETIC[column][0] in names)


def sources(wanted: Sequence[str], names: Collection[str]) -> tuple[str, ...]:
    """Return the columns of a file with the columns ``names`` from which the wanted ones are made."""
    found: list[str] = []
    for column in wanted:
        found += [column] if column in names else [each for each in SYNTHETIC.get(column, ()) if each in names]
    return tuple(dict.fromkeys(found))


def shown(names: Collection[str]) -> str:
    """Return names for a message, not too many."""
    ordered = [name or "(no name)" for name in names]
    more = f" and {len(ordered) - 40} more" if len(ordered) > 40 else ""
    return (", ".join(ordered[:40]) or "no columns") + more
