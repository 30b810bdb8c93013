"""What the integration, fault and benchmark runs share: a world to run ddpm in, and an auditor who trusts nobody."""
