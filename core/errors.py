"""The one exception that users see: its message is one line that says what is wrong and what to do."""


class BardlabError(Exception):
    """Bad input or an impossible request, said in one line to whoever asked."""
