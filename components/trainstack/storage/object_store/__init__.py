"""Object stores through obstore: a workspace's store, and objects that pods reach by presigned addresses."""
