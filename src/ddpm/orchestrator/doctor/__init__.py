"""What is looked at when something does not work: this machine, brokers, databases, one file each.

A check is a function that gives findings; `examine` runs all of them side by side.
"""
