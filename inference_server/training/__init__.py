"""Scripts that make what weights/ holds; nothing imports them."""
