"""In and out: weights of others, archives, reports."""
