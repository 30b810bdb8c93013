"""What ddpm tells about itself: logs. Nothing here decides anything."""
