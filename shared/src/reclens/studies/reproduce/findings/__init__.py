"""What the report says was found, and how published claims fare."""
