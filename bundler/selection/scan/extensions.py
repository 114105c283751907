"""Kinds of widely used extensions of Kubernetes that carry images, and kinds whose images lie elsewhere."""

from __future__ import annotations

from bundler.selection.scan.kubernetes import Kind

_TEMPLATE = Kind(("spec.template.spec",))
_OPERATOR = "its operator"
_PROMETHEUS = Kind(
    (), ("spec.image", "spec.thanos.image", "spec.containers[].image", "spec.initContainers[].image"), _OPERATOR
)
_MACHINE = tuple(
    f"{head}spec.volumes[].containerDisk.image" for head in ("", "spec.template.", "spec.virtualMachineTemplate.")
)
_REPLICAS = {
    "PyTorchJob": "pytorchReplicaSpecs",
    "TFJob": "tfReplicaSpecs",
    "XGBoostJob": "xgbReplicaSpecs",
    "MPIJob": "mpiReplicaSpecs",
    "PaddleJob": "paddleReplicaSpecs",
}

EXTENSIONS = {
    **{
        ("monitoring.coreos.com", kind): _PROMETHEUS
        for kind in ("Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler")
    },
    ("serving.knative.dev", "Service"): _TEMPLATE,
    ("serving.knative.dev", "Configuration"): _TEMPLATE,
    ("serving.knative.dev", "Revision"): Kind(("spec",)),
    ("argoproj.io", "Rollout"): _TEMPLATE,
    ("argoproj.io", "AnalysisTemplate"): Kind(("spec.metrics[].provider.job.spec.template.spec",)),
    ("argoproj.io", "ClusterAnalysisTemplate"): Kind(("spec.metrics[].provider.job.spec.template.spec",)),
    ("apps.openshift.io", "DeploymentConfig"): _TEMPLATE,
    ("operators.coreos.com", "CatalogSource"): Kind((), ("spec.image",)),
    ("operators.coreos.com", "ClusterServiceVersion"): Kind(
        ("spec.install.spec.deployments[].spec.template.spec",), ("spec.relatedImages[].image",)
    ),
    ("apps.kruise.io", "CloneSet"): _TEMPLATE,
    ("apps.kruise.io", "StatefulSet"): _TEMPLATE,
    ("apps.kruise.io", "DaemonSet"): _TEMPLATE,
    ("keda.sh", "ScaledJob"): Kind(("spec.jobTargetRef.template.spec",)),
    ("batch.volcano.sh", "Job"): Kind(("spec.tasks[].template.spec",)),
    ("jobset.x-k8s.io", "JobSet"): Kind(("spec.replicatedJobs[].template.spec.template.spec",)),
    ("leaderworkerset.x-k8s.io", "LeaderWorkerSet"): Kind(
        ("spec.leaderWorkerTemplate.leaderTemplate.spec", "spec.leaderWorkerTemplate.workerTemplate.spec")
    ),
    ("ray.io", "RayCluster"): Kind(("spec.headGroupSpec.template.spec", "spec.workerGroupSpecs[].template.spec")),
    **{("kubeflow.org", kind): Kind((f"spec.{key}.*.template.spec",)) for kind, key in _REPLICAS.items()},
    ("postgresql.cnpg.io", "Cluster"): Kind((), ("spec.imageName",), _OPERATOR),
    ("kubevirt.io", "VirtualMachine"): Kind((), _MACHINE),
    ("kubevirt.io", "VirtualMachineInstance"): Kind((), _MACHINE),
    ("pkg.crossplane.io", "Provider"): Kind((), ("spec.package",)),
    ("pkg.crossplane.io", "Configuration"): Kind((), ("spec.package",)),
    ("pkg.crossplane.io", "Function"): Kind((), ("spec.package",)),
    **{
        (f"{name.lower()}.k8s.elastic.co", name): Kind((), ("spec.image",), _OPERATOR)
        for name in ("Elasticsearch", "Kibana", "Beat", "Agent", "Logstash")
    },
}
"""By group and kind. Kinds of Argo and Tekton that need more than paths have modules of their own."""

ELSEWHERE = {
    ("argoproj.io", "Application"): (("spec.source", "spec.sources[]"), "repoURL"),
    ("argoproj.io", "ApplicationSet"): (("spec.template.spec.source", "spec.template.spec.sources[]"), "repoURL"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"): (("spec.chart.spec", "spec.chartRef"), "chart"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization"): (("spec.sourceRef",), "name"),
    ("source.toolkit.fluxcd.io", "OCIRepository"): (("spec",), "url"),
    ("helm.cattle.io", "HelmChart"): (("spec",), "chart"),
    ("fleet.cattle.io", "GitRepo"): (("spec",), "repo"),
}
"""Resources that only name where manifests lie: paths of such sources, and the field with the name."""

IMPORTS = {
    ("build.openshift.io", "BuildConfig"): ("spec.strategy.*.from", "spec.source.images[].from"),
    ("image.openshift.io", "ImageStream"): ("spec.tags[].from",),
    ("image.openshift.io", "ImageStreamTag"): ("tag.from",),
}
"""Resources of OpenShift with references ``{kind, name}``, of which ``DockerImage`` is an image's name."""
