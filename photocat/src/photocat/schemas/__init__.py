"""What requests may hold and what answers do: `fields` the kinds of values, `requests` and `answers` the bodies."""
