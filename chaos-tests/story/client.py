"""What a program with the official Python client does; any surprise ends it with an error."""

import sys
import threading

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream

NAMESPACE = "python"


def refused(status, reason, work):
    try:
        work()
    except ApiException as error:
        assert error.status == status and reason in error.body, error
        return
    raise AssertionError(f"{reason} was expected")


def config_maps(core):
    for number in range(25):
        body = {"metadata": {"name": f"map-{number:02}", "labels": {"odd": str(number % 2)}}, "data": {"n": str(number)}}
        core.create_namespaced_config_map(NAMESPACE, body)
    refused(409, "AlreadyExists", lambda: core.create_namespaced_config_map(NAMESPACE, body))
    refused(404, "NotFound", lambda: core.read_namespaced_config_map("nobody", NAMESPACE))
    bad = {"metadata": {"name": "Not_A_Name"}}
    refused(422, "metadata.name", lambda: core.create_namespaced_config_map(NAMESPACE, bad))

    odd = core.list_namespaced_config_map(NAMESPACE, label_selector="odd=1")
    assert len(odd.items) == 12, len(odd.items)
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(NAMESPACE, limit=7, _continue=token, label_selector="odd")
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"map-{number:02}" for number in range(25)], names

    one = core.read_namespaced_config_map("map-00", NAMESPACE)
    one.data["n"] = "changed"
    core.replace_namespaced_config_map("map-00", NAMESPACE, one)
    refused(409, "Conflict", lambda: core.replace_namespaced_config_map("map-00", NAMESPACE, one))
    patched = core.patch_namespaced_config_map("map-00", NAMESPACE, {"data": {"more": "yes"}})
    assert patched.data == {"n": "changed", "more": "yes"}, patched.data
    by_steps = [{"op": "remove", "path": "/data/more"}]
    assert core.patch_namespaced_config_map("map-00", NAMESPACE, by_steps).data == {"n": "changed"}
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="odd=1")
    assert len(core.list_namespaced_config_map(NAMESPACE, label_selector="odd").items) == 13


def watching(core):
    start = core.list_namespaced_secret(NAMESPACE).metadata.resource_version
    seen = []

    def look():
        for event in watch.Watch().stream(
            core.list_namespaced_secret, NAMESPACE, resource_version=start, timeout_seconds=60
        ):
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                return

    thread = threading.Thread(target=look)
    thread.start()
    core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    secret = core.patch_namespaced_secret("s", NAMESPACE, {"metadata": {"labels": {"x": "y"}}})
    assert secret.data == {"a": "Yg=="}, secret.data
    core.delete_namespaced_secret("s", NAMESPACE)
    thread.join()
    assert seen == [("ADDED", "s"), ("MODIFIED", "s"), ("DELETED", "s")], seen


def workload(core, apps, image):
    container = {"name": "main", "image": image, "command": ["sh", "-c", "echo hello; sleep 1000"]}
    body = {
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }
    apps.create_namespaced_deployment(NAMESPACE, body)
    for event in watch.Watch().stream(apps.list_namespaced_deployment, NAMESPACE, timeout_seconds=60):
        if event["object"].status.ready_replicas == 2:
            break
    else:
        raise AssertionError("the Deployment is not ready in time")
    scale = apps.read_namespaced_deployment_scale("web", NAMESPACE)
    assert scale.status.replicas == 2, scale
    pod = core.list_namespaced_pod(NAMESPACE, label_selector="app=web").items[0].metadata.name
    assert core.read_namespaced_pod_log(pod, NAMESPACE) == "hello\n"
    command = ["sh", "-c", "echo from inside"]
    said = stream(core.connect_get_namespaced_pod_exec, pod, NAMESPACE, command=command, stdout=True, stderr=True)
    assert said == "from inside\n", said
    core.delete_namespaced_pod(pod, NAMESPACE)


def by_discovery(api):
    dynamic_client = dynamic.DynamicClient(api)
    claims = dynamic_client.resources.get(api_version="policy/v1", kind="PodDisruptionBudget")
    body = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "p"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    made = claims.create(body=body, namespace=NAMESPACE)
    assert made.metadata.generation == 1, made
    kind = "application/merge-patch+json"
    patch = {"metadata": {"name": "p"}, "spec": {"minAvailable": 2}}
    patched = claims.patch(body=patch, namespace=NAMESPACE, content_type=kind)
    assert (patched.metadata.generation, patched.spec.minAvailable) == (2, 2), patched
    claims.delete(name="p", namespace=NAMESPACE)


def main(kubeconfig, image):
    config.load_kube_config(kubeconfig)
    api = client.ApiClient()
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    assert client.VersionApi(api).get_code().major == "1"
    groups = [group.name for group in client.ApisApi(api).get_api_versions().groups]
    assert "apps" in groups and "policy" in groups, groups
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    config_maps(core)
    watching(core)
    workload(core, apps, image)
    by_discovery(api)
    core.delete_namespace(NAMESPACE)
    print("all of it")


if __name__ == "__main__":
    main(*sys.argv[1:])
