"""What only its author can say of a lab report."""

from core.settings import Settings, setting


class Words(Settings):
    """What only its author can say of a report; what is left empty is made of the runs."""

    title: str = setting("", "What stands above it; by default which runs it is about.", longest=120)
    author: str = setting("", "Who did it.", longest=120)
    question: str = setting("", "What was to be found out; by default what changed.", longest=1000)
    guess: str = setting("", "What you expected, and why, before the runs had ended.", longest=1000)
    conclusion: str = setting("", "What you make of it.", longest=2000)
