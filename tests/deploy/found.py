"""Where things are, and how a check says what it found."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "target" / "release"


def wrong(holds, sentence):
    """The sentence where it does not hold."""
    if not holds:
        yield sentence
