"""Which of several models is best for one's data and one's machine."""
