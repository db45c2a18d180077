"""Model files for DC analyses: what keeps a state stands where it was programmed.

A memristor's state is often the voltage of a capacitor with an initial value. A transient analysis begins there;
a DC analysis knows no capacitors and lets the state run to where it would rest for ever. So beside each such
capacitor a copy of the file gets a voltage source of that value: the currents are those of a read so short that
nothing moves.
"""

import re

__all__ = ["held"]

_INITIAL = re.compile(r"\bic\s*=\s*(\{[^}]*\}|'[^']*'|\S+)", re.IGNORECASE)


def held(text: str, model: str, ports: tuple[str, ...]) -> str:
    """A SPICE file with its states held at their initial values.

    Args:
        text: the file.
        model: the subcircuit that is the device.
        ports: its ports; a capacitor there keeps a charge, not a state.

    Returns:
        The same lines, one more before each capacitor that has an initial value.
    """
    lines, out, opened = text.split("\n"), list[str](), list[str]()
    for number, line in enumerate(lines):
        words = line.lower().split()
        if words[:1] == [".subckt"]:
            opened.append(words[1] if len(words) > 1 else "")
        elif words[:1] == [".ends"]:
            opened = opened[:-1]
        elif words and words[0].startswith("c"):
            skipped = {port.lower() for port in ports} if opened[-1:] == [model.lower()] else set()
            out += _holder(_whole(lines, number), skipped)
        out.append(line)
    return "\n".join(out)


def _holder(card: str, skipped: set[str]) -> list[str]:
    """The source that holds a capacitor's voltage, if it has an initial one and no terminal is to be skipped."""
    words, initial = card.split(), _INITIAL.search(card)
    if initial is None or len(words) < 3 or {word.lower() for word in words[1:3]} & skipped:
        return []
    return [f"vheld_{words[0]} {words[1]} {words[2]} {_value(initial.group(1))}"]


def _whole(lines: list[str], first: int) -> str:
    """A card with the lines that continue it."""
    card = lines[first].strip()
    for line in lines[first + 1 :]:
        bare = line.strip()
        if bare.startswith("+"):
            card += f" {bare[1:]}"
        elif bare and not bare.startswith("*"):
            break
    return card


def _value(text: str) -> str:
    """A value as a source takes it: what is no plain number goes into braces."""
    bare = text.strip("{}'")
    return text if re.fullmatch(r"[-+.0-9]\S*", bare) and bare == text else "{" + bare + "}"
