"""Engines that run in containers of a real Docker daemon."""

from harness.dockerd import Dockerd


def test_the_engine_runs_in_an_image_that_holds_nothing_else(dockerd: Dockerd, engine_image: str) -> None:
    client = dockerd.client()
    try:
        said = client.containers.run(engine_image, ["--version"], remove=True, network_mode="host")
    finally:
        client.close()
    assert b"Version" in said
