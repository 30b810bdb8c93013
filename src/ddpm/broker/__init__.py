"""The Kafka side of ddpm: topics, offsets, reading and writing records; the only place that imports kafka."""
