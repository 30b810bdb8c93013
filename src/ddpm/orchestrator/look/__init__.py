"""Looking at records as they are and as they come, outside of any consumer group."""
