"""What pidward connects: the one epoll loop, facts from the kernel into the core, the core's actions to the kernel."""
