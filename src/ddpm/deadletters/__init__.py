"""Dead letters: what one says, which are open, which are meant, and what was done with them.

The format, the books and the selection are pure; `store` alone reads and writes Kafka, through `ddpm.broker`.
"""
