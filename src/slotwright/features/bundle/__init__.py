"""Put everything that hosts without internet need into one folder."""
