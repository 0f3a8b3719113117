"""What the names of columns say, word by word."""

import re
from collections.abc import Collection, Sequence


def words(name: str) -> tuple[str, ...]:
    """Return the words of a column's name.

    >>> words("TX_DateTime"), words("isFraud"), words("trans-num2")
    (('tx', 'date', 'time'), ('is', 'fraud'), ('trans', 'num'))
    """
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))


def ranked(names: Sequence[str], wanted: Sequence[str], unwanted: Collection[str]) -> list[str]:
    """Return the names that hold a wanted word and no unwanted one, by the order of the words and then of the file.

    >>> ranked(["total", "amount", "amount_count"], ["amount", "total"], {"count"})
    ['amount', 'total']
    """
    found: list[tuple[int, int, str]] = []
    for name in names:
        parts = words(name)
        places = [wanted.index(word) for word in (*parts, "".join(parts)) if word in wanted]
        if places and not set(unwanted) & set(parts):
            found.append((min(places), len(found), name))
    return [name for *_, name in sorted(found)]


def consists_of(name: str, vocabulary: Collection[str]) -> bool:
    """Tell whether a name has no other words than those of a vocabulary.

    >>> consists_of("tx_amount", {"tx", "amount"}), consists_of("amount_band", {"amount"})
    (True, False)
    """
    parts = words(name)
    return bool(parts) and ("".join(parts) in vocabulary or set(parts) <= set(vocabulary))
