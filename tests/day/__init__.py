"""One day of many cars, with every fault that cars, radio and servers have, held against what they really drove."""
