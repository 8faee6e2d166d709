"""What runs web services, one module a target; the targets' registrations name them."""
