"""A Caesar cipher for crows: letters move `shift` places along the alphabet, everything else stays where it sits."""

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def encode(text: str, shift: int) -> str:
    return "".join(_move(letter, shift) for letter in text)


def decode(text: str, shift: int) -> str:
    return encode(text, -shift)


def _move(letter: str, shift: int) -> str:
    place = ALPHABET.find(letter.lower())
    if place < 0:
        return letter
    moved = ALPHABET[(place + shift) % len(ALPHABET)]
    return moved.upper() if letter.isupper() else moved
