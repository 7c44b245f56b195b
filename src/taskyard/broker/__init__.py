"""RabbitMQ: wake-ups go out with confirms; the topology has one owner, `taskyard topology`."""
