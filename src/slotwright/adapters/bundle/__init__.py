"""What a bundle for hosts without internet is made of."""
