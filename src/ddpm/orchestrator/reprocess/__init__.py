"""A window of a topic is read once more, through the present parser, into the table."""
