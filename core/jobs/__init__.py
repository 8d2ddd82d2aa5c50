"""Jobs: worker processes, their queue, what they write down."""
