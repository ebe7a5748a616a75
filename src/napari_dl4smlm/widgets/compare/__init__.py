"""The Compare widget: which of several models is best for one's data and one's machine."""
