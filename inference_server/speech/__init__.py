"""Sound -> Motion: voice activity, mouth rules, blinks and head sway."""
