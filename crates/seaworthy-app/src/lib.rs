//! The application model: services, ports, configuration, secrets, volumes, routes.
