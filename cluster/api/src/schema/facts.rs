// A table of facts.
//! What Kubernetes' API says about its fields beyond types: identity of list items, atomicity,
//! patch strategy, defaults, and which empty values are not written.
//!
//! One definition begins at the left margin (without `io.k8s.`; `@atomic`: its fields have one
//! owner together) and continues on indented lines. Each word is a field:
//!
//! ```text
//! NAME [:map(KEY,..) | :set | :atomic | :granular] [~STRATEGY[(MERGE KEY)]] [- | +] [=[DEFAULT]]
//! ```
//!
//! - a list without a word for its type is atomic; without a merge key it is the first map key
//! - `-` a scalar whose zero value is not written; `+` a list or map that is written when empty
//! - `=` always written, with the type's zero value; `=JSON` the documented default

/// The table; see above for its form.
pub(super) const FACTS: &str = r#"
api.admissionregistration.v1.ApplyConfiguration expression-
api.admissionregistration.v1.AuditAnnotation key= valueExpression=
api.admissionregistration.v1.ExpressionWarning fieldRef= warning=
api.admissionregistration.v1.JSONPatch expression-
api.admissionregistration.v1.MatchCondition expression= name=
api.admissionregistration.v1.MatchResources@atomic
api.admissionregistration.v1.MutatingAdmissionPolicy metadata= spec=
api.admissionregistration.v1.MutatingAdmissionPolicyBinding metadata= spec=
api.admissionregistration.v1.MutatingAdmissionPolicyBindingSpec policyName-
api.admissionregistration.v1.MutatingAdmissionPolicySpec matchConditions:map(name)~merge
  reinvocationPolicy-
api.admissionregistration.v1.MutatingWebhook admissionReviewVersions+ clientConfig=
  matchConditions:map(name)~merge name=
api.admissionregistration.v1.MutatingWebhookConfiguration metadata= webhooks:map(name)~merge
api.admissionregistration.v1.Mutation patchType=
api.admissionregistration.v1.NamedRuleWithOperations@atomic
api.admissionregistration.v1.ParamKind@atomic apiVersion- kind-
api.admissionregistration.v1.ParamRef@atomic name- namespace-
api.admissionregistration.v1.ServiceReference name= namespace=
api.admissionregistration.v1.ValidatingAdmissionPolicy metadata= spec= status=
api.admissionregistration.v1.ValidatingAdmissionPolicyBinding metadata= spec=
api.admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec policyName-
  validationActions:set
api.admissionregistration.v1.ValidatingAdmissionPolicySpec matchConditions:map(name)~merge
  variables:map(name)~merge
api.admissionregistration.v1.ValidatingAdmissionPolicyStatus conditions:map(type)
  observedGeneration-
api.admissionregistration.v1.ValidatingWebhook admissionReviewVersions+ clientConfig=
  matchConditions:map(name)~merge name=
api.admissionregistration.v1.ValidatingWebhookConfiguration metadata= webhooks:map(name)~merge
api.admissionregistration.v1.Validation expression= message- messageExpression-
api.admissionregistration.v1.Variable@atomic expression= name=
api.admissionregistration.v1.WebhookClientConfig caBundle-
api.apps.v1.ControllerRevision metadata= revision=
api.apps.v1.DaemonSet metadata= spec= status=
api.apps.v1.DaemonSetCondition message- reason- status= type=
api.apps.v1.DaemonSetSpec minReadySeconds- template= updateStrategy=
api.apps.v1.DaemonSetStatus conditions:map(type)~merge currentNumberScheduled=
  desiredNumberScheduled= numberAvailable- numberMisscheduled= numberReady= numberUnavailable-
  observedGeneration- updatedNumberScheduled-
api.apps.v1.DaemonSetUpdateStrategy type-
api.apps.v1.Deployment metadata= spec= status=
api.apps.v1.DeploymentCondition message- reason- status= type=
api.apps.v1.DeploymentSpec minReadySeconds- paused- strategy~retainKeys= template=
api.apps.v1.DeploymentStatus availableReplicas- conditions:map(type)~merge observedGeneration-
  readyReplicas- replicas- unavailableReplicas- updatedReplicas-
api.apps.v1.DeploymentStrategy type-
api.apps.v1.ReplicaSet metadata= spec= status=
api.apps.v1.ReplicaSetCondition message- reason- status= type=
api.apps.v1.ReplicaSetSpec minReadySeconds- template=
api.apps.v1.ReplicaSetStatus availableReplicas- conditions:map(type)~merge fullyLabeledReplicas-
  observedGeneration- readyReplicas- replicas=
api.apps.v1.StatefulSet metadata= spec= status=
api.apps.v1.StatefulSetCondition message- reason- status= type=
api.apps.v1.StatefulSetOrdinals start=
api.apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy whenDeleted- whenScaled-
api.apps.v1.StatefulSetSpec minReadySeconds- podManagementPolicy- serviceName= template=
  updateStrategy=
api.apps.v1.StatefulSetStatus availableReplicas= conditions:map(type)~merge currentReplicas-
  currentRevision- observedGeneration- readyReplicas- replicas= updateRevision- updatedReplicas-
api.apps.v1.StatefulSetUpdateStrategy type-
api.authentication.v1.BoundObjectReference apiVersion- kind- name- uid-
api.authentication.v1.SelfSubjectReview metadata= status=
api.authentication.v1.SelfSubjectReviewStatus userInfo=
api.authentication.v1.TokenRequest metadata= spec= status=
api.authentication.v1.TokenRequestSpec audiences+
api.authentication.v1.TokenRequestStatus token=
api.authentication.v1.TokenReview metadata= spec= status=
api.authentication.v1.TokenReviewSpec token-
api.authentication.v1.TokenReviewStatus authenticated- error- user=
api.authentication.v1.UserInfo uid- username-
api.authorization.v1.FieldSelectorAttributes rawSelector-
api.authorization.v1.LabelSelectorAttributes rawSelector-
api.authorization.v1.LocalSubjectAccessReview metadata= spec= status=
api.authorization.v1.NonResourceAttributes path- verb-
api.authorization.v1.NonResourceRule verbs+
api.authorization.v1.ResourceAttributes group- name- namespace- resource- subresource- verb-
  version-
api.authorization.v1.ResourceRule verbs+
api.authorization.v1.SelfSubjectAccessReview metadata= spec= status=
api.authorization.v1.SelfSubjectRulesReview metadata= spec= status=
api.authorization.v1.SelfSubjectRulesReviewSpec namespace-
api.authorization.v1.SubjectAccessReview metadata= spec= status=
api.authorization.v1.SubjectAccessReviewSpec uid- user-
api.authorization.v1.SubjectAccessReviewStatus allowed= denied- evaluationError- reason-
api.authorization.v1.SubjectRulesReviewStatus evaluationError- incomplete= nonResourceRules+
  resourceRules+
api.autoscaling.v1.CrossVersionObjectReference@atomic apiVersion- kind= name=
api.autoscaling.v1.HorizontalPodAutoscaler metadata= spec= status=
api.autoscaling.v1.HorizontalPodAutoscalerSpec maxReplicas= scaleTargetRef=
api.autoscaling.v1.HorizontalPodAutoscalerStatus currentReplicas= desiredReplicas=
api.autoscaling.v1.Scale metadata= spec= status=
api.autoscaling.v1.ScaleSpec replicas-=
api.autoscaling.v1.ScaleStatus replicas= selector-
api.autoscaling.v2.ContainerResourceMetricSource container= name= target=
api.autoscaling.v2.ContainerResourceMetricStatus container= current= name=
api.autoscaling.v2.CrossVersionObjectReference apiVersion- kind= name=
api.autoscaling.v2.ExternalMetricSource metric= target=
api.autoscaling.v2.ExternalMetricStatus current= metric=
api.autoscaling.v2.HPAScalingPolicy periodSeconds= type= value=
api.autoscaling.v2.HorizontalPodAutoscaler metadata= spec= status=
api.autoscaling.v2.HorizontalPodAutoscalerCondition message- reason- status= type=
api.autoscaling.v2.HorizontalPodAutoscalerSpec maxReplicas= scaleTargetRef=
api.autoscaling.v2.HorizontalPodAutoscalerStatus conditions:map(type)~merge currentMetrics+
  currentReplicas- desiredReplicas=
api.autoscaling.v2.MetricIdentifier name=
api.autoscaling.v2.MetricSpec type=
api.autoscaling.v2.MetricStatus type=
api.autoscaling.v2.MetricTarget type=
api.autoscaling.v2.ObjectMetricSource describedObject= metric= target=
api.autoscaling.v2.ObjectMetricStatus current= describedObject= metric=
api.autoscaling.v2.PodsMetricSource metric= target=
api.autoscaling.v2.PodsMetricStatus current= metric=
api.autoscaling.v2.ResourceMetricSource name= target=
api.autoscaling.v2.ResourceMetricStatus current= name=
api.batch.v1.CronJob metadata= spec= status=
api.batch.v1.CronJobSpec concurrencyPolicy- jobTemplate= schedule=
api.batch.v1.Job metadata= spec= status=
api.batch.v1.JobCondition message- reason- status= type=
api.batch.v1.JobSpec template=
api.batch.v1.JobStatus active- completedIndexes- conditions~merge(type) failed- succeeded-
api.batch.v1.JobTemplateSpec metadata= spec=
api.batch.v1.PodFailurePolicy rules+
api.batch.v1.PodFailurePolicyOnExitCodesRequirement operator= values:set+
api.batch.v1.PodFailurePolicyOnPodConditionsPattern status= type=
api.batch.v1.PodFailurePolicyRule action=
api.batch.v1.SuccessPolicy rules+
api.batch.v1.UncountedTerminatedPods failed:set succeeded:set
api.certificates.v1.CertificateSigningRequest metadata= spec= status=
api.certificates.v1.CertificateSigningRequestCondition message- reason- status= type=
api.certificates.v1.CertificateSigningRequestSpec signerName= uid- username-
api.certificates.v1.CertificateSigningRequestStatus certificate- conditions:map(type)
api.coordination.v1.Lease metadata= spec=
api.core.v1.AWSElasticBlockStoreVolumeSource fsType- partition- readOnly- volumeID=
api.core.v1.AppArmorProfile type=
api.core.v1.AttachedVolume devicePath= name=
api.core.v1.AzureDiskVolumeSource cachingMode="ReadWrite" diskName= diskURI= fsType="ext4"
  kind="Shared" readOnly=
api.core.v1.AzureFilePersistentVolumeSource readOnly- secretName= shareName=
api.core.v1.AzureFileVolumeSource readOnly- secretName= shareName=
api.core.v1.Binding metadata= target=
api.core.v1.CSIPersistentVolumeSource driver= fsType- readOnly- volumeHandle=
api.core.v1.CSIVolumeSource driver=
api.core.v1.CephFSPersistentVolumeSource monitors+ path- readOnly- secretFile- user-
api.core.v1.CephFSVolumeSource monitors+ path- readOnly- secretFile- user-
api.core.v1.CinderPersistentVolumeSource fsType- readOnly- volumeID=
api.core.v1.CinderVolumeSource fsType- readOnly- volumeID=
api.core.v1.ClusterTrustBundleProjection path=
api.core.v1.ComponentCondition error- message- status= type=
api.core.v1.ComponentStatus conditions:map(type)~merge metadata=
api.core.v1.ConfigMap metadata=
api.core.v1.ConfigMapEnvSource name-=
api.core.v1.ConfigMapKeySelector@atomic key= name-=
api.core.v1.ConfigMapNodeConfigSource kubeletConfigKey= name= namespace= resourceVersion- uid-
api.core.v1.ConfigMapProjection name-=
api.core.v1.ConfigMapVolumeSource name-=
api.core.v1.Container env:map(name)~merge image- imagePullPolicy- name=
  ports:map(containerPort,protocol)~merge resources= stdin- stdinOnce- terminationMessagePath-
  terminationMessagePolicy- tty- volumeDevices:map(devicePath)~merge
  volumeMounts:map(mountPath)~merge workingDir-
api.core.v1.ContainerExtendedResourceRequest containerName= requestName= resourceName=
api.core.v1.ContainerImage names+ sizeBytes-
api.core.v1.ContainerPort containerPort= hostIP- hostPort- name- protocol-="TCP"
api.core.v1.ContainerResizePolicy resourceName= restartPolicy=
api.core.v1.ContainerRestartRule action-
api.core.v1.ContainerRestartRuleOnExitCodes operator- values:set
api.core.v1.ContainerStateTerminated containerID- exitCode= message- reason- signal-
api.core.v1.ContainerStateWaiting message- reason-
api.core.v1.ContainerStatus allocatedResourcesStatus:map(name)~merge containerID- image= imageID=
  lastState= name= ready= restartCount= state= volumeMounts:map(mountPath)~merge
api.core.v1.DaemonEndpoint Port=
api.core.v1.DownwardAPIVolumeFile path=
api.core.v1.EmptyDirVolumeSource medium-
api.core.v1.EndpointAddress@atomic hostname- ip=
api.core.v1.EndpointPort@atomic name- port= protocol-
api.core.v1.Endpoints metadata=
api.core.v1.EnvFromSource prefix-
api.core.v1.EnvVar name= value-
api.core.v1.EphemeralContainer env:map(name)~merge image- imagePullPolicy- name=
  ports:map(containerPort,protocol)~merge resources= stdin- stdinOnce- targetContainerName-
  terminationMessagePath- terminationMessagePolicy- tty- volumeDevices:map(devicePath)~merge
  volumeMounts:map(mountPath)~merge workingDir-
api.core.v1.Event action- count- involvedObject= message- metadata= reason- reportingComponent=
  reportingInstance= source= type-
api.core.v1.EventSeries count-
api.core.v1.EventSource component- host-
api.core.v1.FCVolumeSource fsType- readOnly-
api.core.v1.FileKeySelector@atomic key= optional= path= volumeName=
api.core.v1.FlexPersistentVolumeSource driver= fsType- readOnly-
api.core.v1.FlexVolumeSource driver= fsType- readOnly-
api.core.v1.FlockerVolumeSource datasetName- datasetUUID-
api.core.v1.GCEPersistentDiskVolumeSource fsType- partition- pdName= readOnly-
api.core.v1.GRPCAction port= service=
api.core.v1.GitRepoVolumeSource directory- repository= revision-
api.core.v1.GlusterfsPersistentVolumeSource endpoints= path= readOnly-
api.core.v1.GlusterfsVolumeSource endpoints= path= readOnly-
api.core.v1.HTTPGetAction host- path- scheme-
api.core.v1.HTTPHeader name= value=
api.core.v1.HostAlias ip=
api.core.v1.HostIP ip=
api.core.v1.HostPathVolumeSource path=
api.core.v1.ISCSIPersistentVolumeSource chapAuthDiscovery- chapAuthSession- fsType- iqn=
  iscsiInterface-="default" lun= readOnly- targetPortal=
api.core.v1.ISCSIVolumeSource chapAuthDiscovery- chapAuthSession- fsType- iqn=
  iscsiInterface-="default" lun= readOnly- targetPortal=
api.core.v1.ImageVolumeSource pullPolicy- reference-
api.core.v1.ImageVolumeStatus imageRef-
api.core.v1.KeyToPath key= path=
api.core.v1.LimitRange metadata= spec=
api.core.v1.LimitRangeItem type=
api.core.v1.LimitRangeSpec limits+
api.core.v1.LinuxContainerUser gid= uid=
api.core.v1.LoadBalancerIngress hostname- ip-
api.core.v1.LocalObjectReference@atomic name-=
api.core.v1.LocalVolumeSource path=
api.core.v1.ModifyVolumeStatus status= targetVolumeAttributesClassName-
api.core.v1.NFSVolumeSource path= readOnly- server=
api.core.v1.Namespace metadata= spec= status=
api.core.v1.NamespaceCondition message- reason- status= type=
api.core.v1.NamespaceStatus conditions:map(type)~merge phase-
api.core.v1.Node metadata= spec= status=
api.core.v1.NodeAddress address= type=
api.core.v1.NodeAllocatableResourceClaimStatus containers:set resourceClaimName= resources+
api.core.v1.NodeCondition message- reason- status= type=
api.core.v1.NodeConfigStatus error-
api.core.v1.NodeDaemonEndpoints kubeletEndpoint=
api.core.v1.NodeRuntimeHandler name=
api.core.v1.NodeSelector@atomic nodeSelectorTerms+
api.core.v1.NodeSelectorRequirement key= operator=
api.core.v1.NodeSelectorTerm@atomic
api.core.v1.NodeSpec externalID- podCIDR- podCIDRs:set~merge providerID- unschedulable-
api.core.v1.NodeStatus addresses:map(type)~merge conditions:map(type)~merge daemonEndpoints=
  nodeInfo= phase-
api.core.v1.NodeSystemInfo architecture= bootID= containerRuntimeVersion= kernelVersion=
  kubeProxyVersion= kubeletVersion= machineID= operatingSystem= osImage= systemUUID=
api.core.v1.ObjectFieldSelector@atomic apiVersion- fieldPath=
api.core.v1.ObjectReference@atomic apiVersion- fieldPath- kind- name- namespace- resourceVersion-
  uid-
api.core.v1.PersistentVolume metadata= spec= status=
api.core.v1.PersistentVolumeClaim metadata= spec= status=
api.core.v1.PersistentVolumeClaimCondition message- reason- status= type=
api.core.v1.PersistentVolumeClaimSpec resources= volumeName-
api.core.v1.PersistentVolumeClaimStatus allocatedResourceStatuses:granular
  conditions:map(type)~merge phase-
api.core.v1.PersistentVolumeClaimTemplate metadata= spec=
api.core.v1.PersistentVolumeClaimVolumeSource claimName= readOnly-
api.core.v1.PersistentVolumeSpec claimRef:granular persistentVolumeReclaimPolicy-
  storageClassName-
api.core.v1.PersistentVolumeStatus message- phase- reason-
api.core.v1.PhotonPersistentDiskVolumeSource fsType- pdID=
api.core.v1.Pod metadata= spec= status=
api.core.v1.PodAffinityTerm topologyKey=
api.core.v1.PodCertificateProjection certificateChainPath- credentialBundlePath- keyPath- keyType-
  signerName-
api.core.v1.PodCondition message- observedGeneration- reason- status= type=
api.core.v1.PodDNSConfigOption name-
api.core.v1.PodExtendedResourceClaimStatus requestMappings+ resourceClaimName=
api.core.v1.PodIP ip=
api.core.v1.PodOS name=
api.core.v1.PodReadinessGate conditionType=
api.core.v1.PodResourceClaim name=
api.core.v1.PodResourceClaimStatus name=
api.core.v1.PodSchedulingGate name=
api.core.v1.PodSpec containers:map(name)~merge+ dnsPolicy- ephemeralContainers:map(name)~merge
  hostAliases:map(ip)~merge hostIPC- hostNetwork- hostPID- hostname-
  imagePullSecrets:map(name)~merge initContainers:map(name)~merge nodeName- nodeSelector:atomic
  priorityClassName- resourceClaims:map(name)~merge&retainKeys restartPolicy- schedulerName-
  schedulingGates:map(name)~merge serviceAccount- serviceAccountName- subdomain-
  topologySpreadConstraints:map(topologyKey,whenUnsatisfiable)~merge
  volumes:map(name)~merge&retainKeys
api.core.v1.PodStatus conditions:map(type)~merge hostIP- hostIPs~merge(ip) message-
  nominatedNodeName- observedGeneration- phase- podIP- podIPs:map(ip)~merge qosClass- reason-
  resize- resourceClaimStatuses:map(name)~merge&retainKeys
api.core.v1.PodTemplate metadata= template=
api.core.v1.PodTemplateSpec metadata= spec=
api.core.v1.PortStatus port= protocol=
api.core.v1.PortworxVolumeSource fsType- readOnly- volumeID=
api.core.v1.PreferredSchedulingTerm preference= weight=
api.core.v1.Probe failureThreshold- initialDelaySeconds- periodSeconds- successThreshold-
  timeoutSeconds-
api.core.v1.ProjectedVolumeSource sources+
api.core.v1.QuobyteVolumeSource group- readOnly- registry= tenant- user- volume=
api.core.v1.RBDPersistentVolumeSource fsType- image= keyring-="/etc/ceph/keyring" monitors+
  pool-="rbd" readOnly- user-="admin"
api.core.v1.RBDVolumeSource fsType- image= keyring-="/etc/ceph/keyring" monitors+ pool-="rbd"
  readOnly- user-="admin"
api.core.v1.ReplicationController metadata= spec= status=
api.core.v1.ReplicationControllerCondition message- reason- status= type=
api.core.v1.ReplicationControllerSpec minReadySeconds-= replicas=1 selector:atomic
api.core.v1.ReplicationControllerStatus availableReplicas- conditions:map(type)~merge
  fullyLabeledReplicas- observedGeneration- readyReplicas- replicas=
api.core.v1.ResourceClaim name= request-
api.core.v1.ResourceFieldSelector@atomic containerName- resource=
api.core.v1.ResourceHealth health- resourceID=
api.core.v1.ResourceQuota metadata= spec= status=
api.core.v1.ResourceRequirements claims:map(name)
api.core.v1.ResourceStatus name= resources:map(resourceID)
api.core.v1.SELinuxOptions level- role- type- user-
api.core.v1.ScaleIOPersistentVolumeSource fsType-="xfs" gateway= protectionDomain- readOnly-
  sslEnabled- storageMode-="ThinProvisioned" storagePool- system= volumeName-
api.core.v1.ScaleIOVolumeSource fsType-="xfs" gateway= protectionDomain- readOnly- sslEnabled-
  storageMode-="ThinProvisioned" storagePool- system= volumeName-
api.core.v1.ScopeSelector@atomic
api.core.v1.ScopedResourceSelectorRequirement operator= scopeName=
api.core.v1.SeccompProfile type=
api.core.v1.Secret metadata= type-
api.core.v1.SecretEnvSource name-=
api.core.v1.SecretKeySelector@atomic key= name-=
api.core.v1.SecretProjection name-=
api.core.v1.SecretReference@atomic name- namespace-
api.core.v1.SecretVolumeSource secretName-
api.core.v1.Service metadata= spec= status=
api.core.v1.ServiceAccount metadata= secrets:map(name)~merge
api.core.v1.ServiceAccountTokenProjection audience- path=
api.core.v1.ServicePort name- nodePort- port= protocol-="TCP"
api.core.v1.ServiceSpec clusterIP- externalName- externalTrafficPolicy- healthCheckNodePort-
  loadBalancerIP- ports:map(port,protocol)~merge publishNotReadyAddresses- selector:atomic
  sessionAffinity- type-
api.core.v1.ServiceStatus conditions:map(type)~merge loadBalancer=
api.core.v1.SleepAction seconds=
api.core.v1.StorageOSPersistentVolumeSource fsType- readOnly- volumeName- volumeNamespace-
api.core.v1.StorageOSVolumeSource fsType- readOnly- volumeName- volumeNamespace-
api.core.v1.Sysctl name= value=
api.core.v1.TCPSocketAction host-
api.core.v1.Taint effect= key= value-
api.core.v1.Toleration effect- key- operator- value-
api.core.v1.TopologySelectorLabelRequirement key= values+
api.core.v1.TopologySelectorTerm@atomic
api.core.v1.TopologySpreadConstraint maxSkew= topologyKey= whenUnsatisfiable=
api.core.v1.TypedLocalObjectReference@atomic kind= name=
api.core.v1.TypedObjectReference kind= name=
api.core.v1.Volume name=
api.core.v1.VolumeDevice devicePath= name=
api.core.v1.VolumeMount mountPath= name= readOnly- subPath- subPathExpr-
api.core.v1.VolumeMountStatus mountPath= name= readOnly-
api.core.v1.VsphereVirtualDiskVolumeSource fsType- storagePolicyID- storagePolicyName- volumePath=
api.core.v1.WeightedPodAffinityTerm podAffinityTerm= weight=
api.discovery.v1.Endpoint addresses:set+ conditions=
api.discovery.v1.EndpointPort@atomic
api.discovery.v1.EndpointSlice addressType= endpoints+ metadata= ports+
api.discovery.v1.ForNode name=
api.discovery.v1.ForZone name=
api.events.v1.Event action- deprecatedCount- deprecatedSource= metadata= note- reason- regarding=
  reportingController- reportingInstance- type-
api.events.v1.EventSeries count=
api.flowcontrol.v1.FlowDistinguisherMethod type=
api.flowcontrol.v1.FlowSchema metadata= spec= status=
api.flowcontrol.v1.FlowSchemaCondition message- reason- status- type-
api.flowcontrol.v1.FlowSchemaSpec matchingPrecedence= priorityLevelConfiguration=
api.flowcontrol.v1.FlowSchemaStatus conditions:map(type)~merge
api.flowcontrol.v1.GroupSubject name=
api.flowcontrol.v1.LimitResponse type=
api.flowcontrol.v1.LimitedPriorityLevelConfiguration limitResponse=
api.flowcontrol.v1.NonResourcePolicyRule nonResourceURLs:set+ verbs:set+
api.flowcontrol.v1.PolicyRulesWithSubjects subjects+
api.flowcontrol.v1.PriorityLevelConfiguration metadata= spec= status=
api.flowcontrol.v1.PriorityLevelConfigurationCondition message- reason- status- type-
api.flowcontrol.v1.PriorityLevelConfigurationReference name=
api.flowcontrol.v1.PriorityLevelConfigurationSpec type=
api.flowcontrol.v1.PriorityLevelConfigurationStatus conditions:map(type)~merge
api.flowcontrol.v1.QueuingConfiguration handSize= queueLengthLimit= queues=
api.flowcontrol.v1.ResourcePolicyRule apiGroups:set+ clusterScope- namespaces:set+ resources:set+
  verbs:set+
api.flowcontrol.v1.ServiceAccountSubject name= namespace=
api.flowcontrol.v1.Subject kind=
api.flowcontrol.v1.UserSubject name=
api.networking.v1.HTTPIngressPath backend= path-
api.networking.v1.HTTPIngressRuleValue paths+
api.networking.v1.IPAddress metadata= spec=
api.networking.v1.IPBlock cidr=
api.networking.v1.Ingress metadata= spec= status=
api.networking.v1.IngressClass metadata= spec=
api.networking.v1.IngressClassParametersReference kind= name=
api.networking.v1.IngressClassSpec controller-
api.networking.v1.IngressLoadBalancerIngress hostname- ip-
api.networking.v1.IngressPortStatus port= protocol=
api.networking.v1.IngressRule host-
api.networking.v1.IngressServiceBackend name= port=
api.networking.v1.IngressStatus loadBalancer=
api.networking.v1.IngressTLS secretName-
api.networking.v1.NetworkPolicy metadata= spec=
api.networking.v1.NetworkPolicySpec podSelector=
api.networking.v1.ParentReference group- name- namespace- resource-
api.networking.v1.ServiceBackendPort@atomic name- number-
api.networking.v1.ServiceCIDR metadata= spec= status=
api.networking.v1.ServiceCIDRStatus conditions:map(type)~merge
api.node.v1.RuntimeClass handler= metadata=
api.node.v1.Scheduling nodeSelector:atomic
api.policy.v1.Eviction metadata=
api.policy.v1.PodDisruptionBudget metadata= spec= status=
api.policy.v1.PodDisruptionBudgetSpec selector~replace
api.policy.v1.PodDisruptionBudgetStatus conditions:map(type)~merge currentHealthy= desiredHealthy=
  disruptionsAllowed= expectedPods= observedGeneration-
api.rbac.v1.ClusterRole metadata= rules+
api.rbac.v1.ClusterRoleBinding metadata= roleRef=
api.rbac.v1.PolicyRule verbs+
api.rbac.v1.Role metadata= rules+
api.rbac.v1.RoleBinding metadata= roleRef=
api.rbac.v1.RoleRef@atomic apiGroup= kind= name=
api.rbac.v1.Subject@atomic apiGroup- kind= name= namespace-
api.resource.v1.AllocatedDeviceStatus conditions:map(type)+ device= driver= pool=
api.resource.v1.AllocationResult devices=
api.resource.v1.CELDeviceSelector expression=
api.resource.v1.CounterSet name=
api.resource.v1.Device name=
api.resource.v1.DeviceAllocationConfiguration source=
api.resource.v1.DeviceClaim requests+
api.resource.v1.DeviceClass metadata= spec=
api.resource.v1.DeviceCounterConsumption counterSet=
api.resource.v1.DeviceRequest name=
api.resource.v1.DeviceRequestAllocationResult device= driver= pool= request=
api.resource.v1.DeviceSubRequest allocationMode- count- deviceClassName= name=
api.resource.v1.DeviceTaint effect= key= value-
api.resource.v1.DeviceToleration effect- key- operator-="Equal" value-
api.resource.v1.ExactDeviceRequest allocationMode- count- deviceClassName=
api.resource.v1.NetworkDeviceData hardwareAddress- interfaceName-
api.resource.v1.OpaqueDeviceConfiguration driver=
api.resource.v1.ResourceClaim metadata= spec= status=
api.resource.v1.ResourceClaimConsumerReference apiGroup- name= resource= uid=
api.resource.v1.ResourceClaimSpec devices=
api.resource.v1.ResourceClaimStatus devices:map(driver,device,pool,shareID)
  reservedFor:map(uid)~merge
api.resource.v1.ResourceClaimTemplate metadata= spec=
api.resource.v1.ResourceClaimTemplateSpec metadata= spec=
api.resource.v1.ResourcePool generation= name= resourceSliceCount=
api.resource.v1.ResourceSlice metadata= spec=
api.resource.v1.ResourceSliceSpec driver= pool=
api.scheduling.v1.PriorityClass description- globalDefault- metadata= value=
api.storage.v1.CSIDriver metadata= spec=
api.storage.v1.CSIDriverSpec volumeLifecycleModes:set
api.storage.v1.CSINode metadata= spec=
api.storage.v1.CSINodeDriver name= nodeID= topologyKeys+
api.storage.v1.CSINodeSpec drivers:map(name)~merge+
api.storage.v1.CSIStorageCapacity metadata= storageClassName=
api.storage.v1.StorageClass metadata= provisioner=
api.storage.v1.TokenRequest audience=
api.storage.v1.VolumeAttachment metadata= spec= status=
api.storage.v1.VolumeAttachmentSpec attacher= nodeName= source=
api.storage.v1.VolumeAttachmentStatus attached=
api.storage.v1.VolumeAttributesClass driverName= metadata=
api.storage.v1.VolumeError message-
apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceColumnDefinition description-
  format- jsonPath= name= priority- type=
apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceConversion strategy=
apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition metadata= spec= status=
apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionCondition message-
  observedGeneration- reason- status= type=
apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames kind= listKind-
  plural= singular-
apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec group= names=
  preserveUnknownFields- scope= versions+
apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus acceptedNames=
  conditions:map(type)+ observedGeneration- storedVersions+
apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion deprecated-
  name= served= storage=
apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceScale specReplicasPath=
  statusReplicasPath=
apiextensions-apiserver.pkg.apis.apiextensions.v1.ExternalDocumentation description- url-
apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps $schema- description-
  exclusiveMaximum- exclusiveMinimum- format- id- nullable- pattern- title- type- uniqueItems-
  x-kubernetes-embedded-resource- x-kubernetes-int-or-string-
  x-kubernetes-validations:map(rule)~merge
apiextensions-apiserver.pkg.apis.apiextensions.v1.SelectableField jsonPath=
apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference name= namespace=
apiextensions-apiserver.pkg.apis.apiextensions.v1.ValidationRule fieldPath- message-
  messageExpression- rule=
apiextensions-apiserver.pkg.apis.apiextensions.v1.WebhookClientConfig caBundle-
apiextensions-apiserver.pkg.apis.apiextensions.v1.WebhookConversion conversionReviewVersions+
apimachinery.pkg.apis.meta.v1.APIGroup apiVersion- kind- name= preferredVersion= versions+
apimachinery.pkg.apis.meta.v1.APIGroupList apiVersion- groups+ kind-
apimachinery.pkg.apis.meta.v1.APIResource group- kind= name= namespaced= singularName=
  storageVersionHash- verbs+ version-
apimachinery.pkg.apis.meta.v1.APIResourceList apiVersion- groupVersion= kind- resources+
apimachinery.pkg.apis.meta.v1.APIVersions apiVersion- kind- serverAddressByClientCIDRs+ versions+
apimachinery.pkg.apis.meta.v1.Condition message= observedGeneration- reason= status= type=
apimachinery.pkg.apis.meta.v1.DeleteOptions apiVersion- kind-
apimachinery.pkg.apis.meta.v1.FieldSelectorRequirement key= operator=
apimachinery.pkg.apis.meta.v1.GroupResource group= resource=
apimachinery.pkg.apis.meta.v1.GroupVersionForDiscovery groupVersion= version=
apimachinery.pkg.apis.meta.v1.LabelSelector@atomic
apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement key= operator=
apimachinery.pkg.apis.meta.v1.ListMeta continue- resourceVersion- selfLink-
apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry apiVersion- fieldsType- manager- operation-
  subresource-
apimachinery.pkg.apis.meta.v1.ObjectMeta finalizers:set~merge generateName- generation- name-
  namespace- managedFields+ ownerReferences:map(uid)~merge resourceVersion- selfLink- uid-
apimachinery.pkg.apis.meta.v1.OwnerReference@atomic apiVersion= kind= name= uid=
apimachinery.pkg.apis.meta.v1.ServerAddressByClientCIDR clientCIDR= serverAddress=
apimachinery.pkg.apis.meta.v1.ShardInfo selector=
apimachinery.pkg.apis.meta.v1.Status apiVersion- code- kind- message- metadata= reason- status-
apimachinery.pkg.apis.meta.v1.StatusCause field- message- reason-
apimachinery.pkg.apis.meta.v1.StatusDetails group- kind- name- retryAfterSeconds- uid-
apimachinery.pkg.apis.meta.v1.WatchEvent type=
kube-aggregator.pkg.apis.apiregistration.v1.APIService metadata= spec= status=
kube-aggregator.pkg.apis.apiregistration.v1.APIServiceCondition message- reason- status= type=
kube-aggregator.pkg.apis.apiregistration.v1.APIServiceSpec caBundle- group- groupPriorityMinimum=
  insecureSkipTLSVerify- version- versionPriority=
kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus conditions:map(type)~merge
kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference name- namespace-
"#;
