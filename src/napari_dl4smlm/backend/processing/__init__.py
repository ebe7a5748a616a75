"""From the table of a detector to the one that is looked at: filter, correct, merge, draw."""
