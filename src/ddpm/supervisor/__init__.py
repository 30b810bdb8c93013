"""Keeps the engines of all pipelines in the state that was asked for, and knows why each is in the state it is."""
