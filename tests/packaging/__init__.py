"""What a user installs: the wheel, apart from the checkout."""
