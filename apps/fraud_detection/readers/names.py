"""What the names of columns mean, word by word: which role a column may have, and which it must have."""

import re
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple


def words(name: str) -> tuple[str, ...]:
    """Return the words of a column's name.

    >>> words("TX_DateTime"), words("isFraud"), words("trans-num2")
    (('tx', 'date', 'time'), ('is', 'fraud'), ('trans', 'num'))
    """
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))


def consists_of(name: str, vocabulary: Collection[str]) -> bool:
    """Return whether a name has no other words than those of a vocabulary.

    >>> consists_of("tx_amount", {"tx", "amount"}), consists_of("amount_band", {"amount"})
    (True, False)
    """
    parts = words(name)
    return bool(parts) and ("".join(parts) in vocabulary or set(parts) <= set(vocabulary))


def is_index(name: str) -> bool:
    """Return whether a column only numbers the rows, as pandas writes one."""
    return re.match(r"unnamed|index$|__index", name, re.IGNORECASE) is not None


def is_time(name: str) -> bool:
    """Return whether a column's name may be that of a time."""
    return bool(TIME.ranked([name]))


def is_label(name: str) -> bool:
    """Return whether a column's name can mean nothing but a label."""
    parts = _parts(name)
    return consists_of(name, {*LABEL.wanted, *_LABEL_FILLERS, *TRANSACTION}) and (
        bool(parts & _FRAUD) or len(parts) == 1
    )


def is_of_fraud(name: str) -> bool:
    """Return whether a column's name is that of a label, or of the kind or time of a fraud."""
    parts = _parts(name)
    return bool(parts & _FRAUD and parts & (LABEL.unwanted - {"score", "count"})) or is_label(name)


def is_transaction_id(name: str) -> bool:
    """Return whether a column's name can be that of an id of transactions."""
    parts = set(words(name))
    return bool(parts & ID and parts <= ID | TRANSACTION)


class Role(NamedTuple):
    """What names a role has.

    Attributes:
        wanted: Words of which a name has one, the likeliest first.
        unwanted: Words of which it has none.
        is_meant: Whether a name can mean nothing else.
    """

    wanted: tuple[str, ...]
    unwanted: frozenset[str]
    is_meant: Callable[[str], bool]

    def ranked(self, names: Sequence[str]) -> list[str]:
        """Return the names that may mean the role, by the order of its words and then of the file.

        >>> AMOUNT.ranked(["total", "amount", "amount_count"])
        ['amount', 'total']
        """
        found: list[tuple[int, int, str]] = []
        for name in names:
            parts = words(name)
            places = [self.wanted.index(word) for word in (*parts, "".join(parts)) if word in self.wanted]
            if places and not self.unwanted & set(parts):
                found.append((min(places), len(found), name))
        return [name for *_, name in sorted(found)]

    def likelier(self, among: Sequence[str], chosen: str | None) -> list[str]:
        """Return the columns whose names can mean nothing else and come before the chosen one, likeliest first.

        >>> AMOUNT.likelier(["total", "amount"], "total"), AMOUNT.likelier(["amount_eur"], "amount")
        (['amount'], [])
        """
        # Of names that fit the role as well, the chosen one is the likelier.
        ranked = self.ranked([*([chosen] if chosen else []), *(name for name in among if name != chosen)])
        before = ranked[: ranked.index(chosen)] if chosen in ranked else ranked
        return [name for name in before if self.is_meant(name)]


def _parts(name: str) -> set[str]:
    return {*words(name), "".join(words(name))}


def _is_amount(name: str) -> bool:
    parts = set(words(name))
    return bool(parts & {"amount", "amt"}) and parts <= {"amount", "amt", *_MONEY, *TRANSACTION}


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _tuple(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TRANSACTION = _set("transaction trans tx txn payment transfer order")
ID = _set("id num number no nr key hash code token pan uuid ref reference name")
# Who pays comes first: alerts are about the first that is found.
ENTITIES = {
    "card": _set("card cc pan"),
    "customer": _set("customer client cardholder sender payer nameorig"),
    "account": _set("account acct iban"),
    "user": _set("user"),
    "terminal": _set("terminal pos atm"),
    "merchant": _set("merchant shop store vendor seller"),
    "device": _set("device"),
    "recipient": _set("recipient beneficiary payee receiver namedest"),
}
_FRAUD = _set("fraud isfraud fraudulent chargeback")
_MONEY = _set("eur usd gbp chf local gross net total in of the purchase sum")
_LABEL_FILLERS = _set("is flag bool label target class ind indicator")
_TIME_FILLERS = _set("unix utc gmt local stamp event booking posting posted purchase on of")
_TIME = _tuple("datetime timestamp time date unixtime dt ts created booked at when step")
# Names of no other words than these mean the time.
_TIME_VOCABULARY = {*_TIME, *_TIME_FILLERS, *TRANSACTION} - {"step", "at", "created", "booked"}
TIME = Role(
    _TIME,
    _set("birth fraud chargeback dob expiry expires expiration opened zone offset since last count"),
    lambda name: consists_of(name, _TIME_VOCABULARY),
)
AMOUNT = Role(
    _tuple("amount amt value sum total price"),
    _set("count mean average avg ratio max min std currency band type category"),
    _is_amount,
)
LABEL = Role(
    _tuple("fraud isfraud fraudulent chargeback label class target"),
    _set("score count type scenario reason date time flagged id"),
    is_label,
)
ROLES = {"time": TIME, "amount": AMOUNT, "label": LABEL}
