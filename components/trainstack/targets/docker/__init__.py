"""Docker engines, here or elsewhere: how to reach one and what it is."""
