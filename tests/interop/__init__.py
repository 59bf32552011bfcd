"""The core alone against WebRTC stacks that are not ours, over loopback sockets."""
