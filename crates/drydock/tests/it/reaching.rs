//! How the API is reached from inside the cluster: by its Service, and where its Endpoints say it is.

use crate::world;

#[test]
fn pods_reach_the_api_by_its_service_and_by_its_endpoints() {
    let Some(world) = world::newest() else { return };
    world.sleeping("p");
    let place = "{.subsets[0].addresses[0].ip} {.subsets[0].ports[0].port}";
    let endpoint = world
        .run(&["get", "endpoints", "kubernetes", "-n", "default", "-o", &format!("jsonpath={place}")], None);
    for address in ["10.96.0.1 443", &endpoint.text()] {
        let ask = format!("echo 'GET /version HTTP/1.0' | busybox nc -w 30 {address} | head -c 1 | wc -c");
        let ran = world.run(&["exec", "p", "--", "sh", "-c", &ask], None);
        assert_eq!(ran.text().trim(), "1", "{address}: {}", ran.stderr);
    }
}
