"""What an update would do to a stack, in words, time and money; what it came to; what it must not move."""
