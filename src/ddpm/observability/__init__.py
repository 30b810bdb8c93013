"""What ddpm says about itself: logs. Nothing here decides anything."""
