"""Kubernetes' manifests: by its schemas, by each other, and by what pods of a domain must not be able to do."""

import yaml
import kubernetes_validate

from found import wrong

# The version whose schemas count: objects of it are understood by later ones.
KUBERNETES = "1.32"
# Secrets that the operator makes, each with what is in it; the README says how.
SECRETS = {
    "ledger": {"url", "ca.crt"},
    "postgres": {"password"},
    "postgres-tls": {"tls.crt", "tls.key"},
    "gateway-operator": {"token"},
    "gateway-key": {"keystore.json"},
    "gateway-password": {"password"},
    "gateway-tls": {"tls.crt", "tls.key"},
    "node-password": {"password"},
    "worker": {"worker.toml"},
}
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


class Manifests:
    """One folder with its kustomization."""

    def __init__(self, folder):
        self.folder = folder
        self.kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        self.objects = []
        for name in self.kustomization["resources"]:
            texts = yaml.safe_load_all((folder / name).read_text())
            self.objects += [(name, one) for one in texts if one is not None]

    def of(self, *kinds):
        """Objects of these kinds."""
        return [one for _, one in self.objects if one["kind"] in kinds]

    def pods(self):
        """Each workload's name and its pods' specification."""
        return [(one["metadata"]["name"], one["spec"]["template"]) for one in self.of(*WORKLOADS)]

    def containers(self):
        """Workload, pod and container, those that run first among them."""
        for name, pod in self.pods():
            for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
                yield name, pod["spec"], container

    def generated(self):
        """ConfigMaps that kustomize makes, each with its files."""
        made = self.kustomization.get("configMapGenerator", [])
        return {one["name"]: [self.folder / path for path in one["files"]] for one in made}


def check(folder):
    """What is wrong in a folder, in sentences."""
    try:
        manifests = Manifests(folder)
    except (OSError, yaml.YAMLError, KeyError) as error:
        return [f"{folder.name}: {error}"]
    # What is no object cannot be looked at further.
    return list(schemas(manifests)) or [
        *files(manifests), *references(manifests), *confined(manifests), *lasting(manifests)]


def schemas(manifests):
    """Every object is one of Kubernetes'; a key that it does not know is wrong."""
    for name, one in manifests.objects:
        try:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {one['kind']} {one['metadata']['name']}: {'.'.join(map(str, error.path))}: {error.message}"
        except (kubernetes_validate.InvalidSchemaError, kubernetes_validate.SchemaNotFoundError) as error:
            yield f"{name}: {one.get('kind')}: {error}"


def files(manifests):
    """Nothing lies there unused, and nothing is named that is not there."""
    listed = set(manifests.kustomization["resources"]) | {"kustomization.yaml"}
    for path in manifests.folder.glob("*.yaml"):
        yield from wrong(path.name in listed, f"{path.name} is in no kustomization")
    for name, paths in manifests.generated().items():
        for path in paths:
            yield from wrong(path.is_file(), f"configMapGenerator {name}: no file {path.name}")
    images = {one["name"] for one in manifests.kustomization.get("images", [])}
    used = {container["image"] for _, _, container in manifests.containers()}
    for image in used:
        yield from wrong(image in images or ":" in image, f"the image {image} has no tag")
    for image in images - used:
        yield f"nobody uses the image {image}"


def references(manifests):
    """Names lead somewhere: selectors, volumes, ports, Secrets, ConfigMaps, Services."""
    pods = manifests.pods()
    services = {one["metadata"]["name"]: one["spec"] for one in manifests.of("Service")}
    claims = {one["metadata"]["name"] for one in manifests.of("PersistentVolumeClaim")}

    def chosen(selector):
        # A pod of a StatefulSet gets its name as a label.
        wanted = {key: value for key, value in selector.items() if not key.startswith("statefulset.")}
        return [pod for _, pod in pods if wanted.items() <= pod["metadata"]["labels"].items()]

    for name, spec in services.items():
        found = chosen(spec["selector"])
        yield from wrong(found, f"Service {name} leads to no pod")
        ports = {port["name"] for pod in found for one in pod["spec"]["containers"] for port in one.get("ports", [])}
        for port in spec.get("ports", []):
            yield from wrong(port["targetPort"] in ports, f"Service {name}: no port {port['targetPort']}")
        place = spec["selector"].get("statefulset.kubernetes.io/pod-name")
        if place:
            owner, _, number = place.rpartition("-")
            sets = {one["metadata"]["name"]: one["spec"]["replicas"] for one in manifests.of("StatefulSet")}
            yield from wrong(int(number) < sets.get(owner, 0), f"Service {name}: no pod {place}")
    for one in manifests.of("StatefulSet"):
        yield from wrong(one["spec"]["serviceName"] in services, f"{one['metadata']['name']}: no Service {one['spec']['serviceName']}")
    for one in manifests.of("PodDisruptionBudget"):
        yield from wrong(chosen(one["spec"]["selector"]["matchLabels"]), "a PodDisruptionBudget holds nobody")
    for one in manifests.of("NetworkPolicy"):
        rules = one["spec"].get("ingress", []) + one["spec"].get("egress", [])
        peers = [peer for rule in rules for peer in rule.get("from", []) + rule.get("to", [])]
        for selector in [one["spec"]["podSelector"], *(peer["podSelector"] for peer in peers if "podSelector" in peer)]:
            yield from wrong(chosen(selector.get("matchLabels", {})), f"NetworkPolicy {one['metadata']['name']} is about no pod")
    classes = {one["metadata"]["name"] for one in manifests.of("RuntimeClass")}
    for name, pod in pods:
        runtime = pod["spec"].get("runtimeClassName")
        yield from wrong(runtime is None or runtime in classes, f"{name}: no RuntimeClass {runtime}")
    for one in manifests.of(*WORKLOADS):
        yield from volumes(manifests, one, claims)


def volumes(manifests, workload, claims):
    """Volumes of a workload's pods, and what is mounted of them."""
    name, pod = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
    known = {volume["name"] for volume in pod.get("volumes", [])}
    known |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    used = set()
    for container in pod.get("initContainers", []) + pod["containers"]:
        for mount in container.get("volumeMounts", []):
            used.add(mount["name"])
            yield from wrong(mount["name"] in known, f"{name}: no volume {mount['name']}")
        for one in container.get("env", []):
            secret = one.get("valueFrom", {}).get("secretKeyRef")
            if secret:
                yield from wrong(secret["key"] in SECRETS.get(secret["name"], ()), f"{name}: nobody makes {secret}")
    for volume in pod.get("volumes", []):
        yield from wrong(volume["name"] in used, f"{name}: nobody mounts {volume['name']}")
        if "secret" in volume:
            yield from wrong(volume["secret"]["secretName"] in SECRETS, f"{name}: nobody makes {volume['secret']}")
        if "configMap" in volume:
            yield from wrong(volume["configMap"]["name"] in manifests.generated(), f"{name}: nobody makes {volume['configMap']}")
        if "persistentVolumeClaim" in volume:
            yield from wrong(volume["persistentVolumeClaim"]["claimName"] in claims, f"{name}: no claim {volume['name']}")


def confined(manifests):
    """What no pod here may do, no secret in a manifest, and nobody reached who is not listed."""
    for name, pod, container in manifests.containers():
        who = f"{name}/{container['name']}"
        of_pod, own = pod.get("securityContext", {}), container.get("securityContext", {})
        for holds, what in [
            (of_pod.get("runAsNonRoot") is True and of_pod.get("runAsUser", 0) > 0, "may run as root"),
            (of_pod.get("seccompProfile", {}).get("type") == "RuntimeDefault", "has no seccomp profile"),
            (own.get("allowPrivilegeEscalation") is False, "may gain rights"),
            (own.get("readOnlyRootFilesystem") is True, "may write into its image"),
            (own.get("capabilities", {}).get("drop") == ["ALL"], "keeps capabilities"),
            (not own.get("privileged") and not pod.get("hostNetwork") and not pod.get("hostPID"), "has the host's rights"),
            (pod.get("automountServiceAccountToken") is False, "has a token for the cluster"),
            ("memory" in container.get("resources", {}).get("limits", {}), "has no limit of memory"),
            ({"cpu", "memory"} <= container.get("resources", {}).get("requests", {}).keys(), "asks for nothing"),
        ]:
            yield from wrong(holds, f"{who} {what}")
        for one in container.get("env", []):
            is_secret = any(word in one["name"] for word in ("PASSWORD", "SECRET", "TOKEN", "KEY"))
            is_path = one["name"].endswith("_FILE")
            yield from wrong(not is_secret or is_path or "valueFrom" in one, f"{who}: {one['name']} stands in the manifest")
    yield from wrong(not manifests.of("Secret"), "a Secret stands in a manifest")
    policies = manifests.of("NetworkPolicy")
    closed = [one["spec"] for one in policies if one["spec"]["podSelector"] == {}]
    closed = [one for one in closed if set(one["policyTypes"]) == {"Ingress", "Egress"}]
    yield from wrong(closed, "no NetworkPolicy denies by default")


def lasting(manifests):
    """What serves is probed, at ports that it has, and gets the time that it takes to end."""
    for name, pod in manifests.pods():
        yield from wrong(pod["spec"].get("terminationGracePeriodSeconds", 30) >= 60 or name == "worker", f"{name} is cut off")
        for container in pod["spec"].get("initContainers", []):
            stays = container.get("restartPolicy") == "Always"
            yield from wrong(stays or container["image"] != "gaia-worker", f"{name}: a worker without restartPolicy Always ends before the host begins")
        for container in pod["spec"]["containers"]:
            ports = {port["name"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(kind)
                yield from wrong(probe, f"{name}: no {kind}")
                port = (probe or {}).get("httpGet", {}).get("port")
                yield from wrong(port is None or port in ports, f"{name}: {kind} asks at no port {port}")
