"""What papers claim, reproduced in minutes: each declared once, run as ordinary runs, judged by a rule set before."""
