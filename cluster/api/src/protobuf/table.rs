// A table of facts.
//! The protobuf messages of the built-in kinds, v1.36: one line per message, `NUMBER:JSON-NAME:TYPE`
//! per field. The name `.` inlines a message; `{}`, `[]` and `!` make the message stand for an object, a list
//! or a flag.
//!
//! Types: `s` string, `b` bool, `i` integer, `d` double, `y` bytes, `T` time, `U` micro time, `Q`
//! quantity, `I` integer or string, `R` raw JSON, `F` field set, `M` message;
//! `*` repeated, `%` map with string keys; `?` a pointer (zero is a value), `~` omitted when zero.

pub(super) const MESSAGES: &str = "
admissionregistration.k8s.io/v1.ApplyConfiguration 1:expression:s~
admissionregistration.k8s.io/v1.AuditAnnotation 1:key:s 2:valueExpression:s
admissionregistration.k8s.io/v1.ExpressionWarning 2:fieldRef:s 3:warning:s
admissionregistration.k8s.io/v1.JSONPatch 1:expression:s~
admissionregistration.k8s.io/v1.MatchCondition 1:name:s 2:expression:s
admissionregistration.k8s.io/v1.MatchResources 1:namespaceSelector:Mmeta.LabelSelector?~ 2:objectSelector:Mmeta.LabelSelector?~ 3:resourceRules:*Madmissionregistration.k8s.io/v1.NamedRuleWithOperations~ 4:excludeResourceRules:*Madmissionregistration.k8s.io/v1.NamedRuleWithOperations~ 7:matchPolicy:s?~
admissionregistration.k8s.io/v1.MutatingAdmissionPolicy 1:metadata:Mmeta.ObjectMeta~ 2:spec:Madmissionregistration.k8s.io/v1.MutatingAdmissionPolicySpec~
admissionregistration.k8s.io/v1.MutatingAdmissionPolicyBinding 1:metadata:Mmeta.ObjectMeta~ 2:spec:Madmissionregistration.k8s.io/v1.MutatingAdmissionPolicyBindingSpec~
admissionregistration.k8s.io/v1.MutatingAdmissionPolicyBindingList 1:metadata:Mmeta.ListMeta~ 2:items:*Madmissionregistration.k8s.io/v1.MutatingAdmissionPolicyBinding
admissionregistration.k8s.io/v1.MutatingAdmissionPolicyBindingSpec 1:policyName:s~ 2:paramRef:Madmissionregistration.k8s.io/v1.ParamRef?~ 3:matchResources:Madmissionregistration.k8s.io/v1.MatchResources?~
admissionregistration.k8s.io/v1.MutatingAdmissionPolicyList 1:metadata:Mmeta.ListMeta~ 2:items:*Madmissionregistration.k8s.io/v1.MutatingAdmissionPolicy
admissionregistration.k8s.io/v1.MutatingAdmissionPolicySpec 1:paramKind:Madmissionregistration.k8s.io/v1.ParamKind?~ 2:matchConstraints:Madmissionregistration.k8s.io/v1.MatchResources?~ 3:variables:*Madmissionregistration.k8s.io/v1.Variable~ 4:mutations:*Madmissionregistration.k8s.io/v1.Mutation~ 5:failurePolicy:s?~ 6:matchConditions:*Madmissionregistration.k8s.io/v1.MatchCondition~ 7:reinvocationPolicy:s~
admissionregistration.k8s.io/v1.MutatingWebhook 1:name:s 2:clientConfig:Madmissionregistration.k8s.io/v1.WebhookClientConfig 3:rules:*Madmissionregistration.k8s.io/v1.RuleWithOperations~ 4:failurePolicy:s?~ 9:matchPolicy:s?~ 5:namespaceSelector:Mmeta.LabelSelector?~ 11:objectSelector:Mmeta.LabelSelector?~ 6:sideEffects:s? 7:timeoutSeconds:i?~ 8:admissionReviewVersions:*s 10:reinvocationPolicy:s?~ 12:matchConditions:*Madmissionregistration.k8s.io/v1.MatchCondition~
admissionregistration.k8s.io/v1.MutatingWebhookConfiguration 1:metadata:Mmeta.ObjectMeta~ 2:webhooks:*Madmissionregistration.k8s.io/v1.MutatingWebhook~
admissionregistration.k8s.io/v1.MutatingWebhookConfigurationList 1:metadata:Mmeta.ListMeta~ 2:items:*Madmissionregistration.k8s.io/v1.MutatingWebhookConfiguration
admissionregistration.k8s.io/v1.Mutation 2:patchType:s 3:applyConfiguration:Madmissionregistration.k8s.io/v1.ApplyConfiguration?~ 4:jsonPatch:Madmissionregistration.k8s.io/v1.JSONPatch?~
admissionregistration.k8s.io/v1.NamedRuleWithOperations 1:resourceNames:*s~ 2:.:Madmissionregistration.k8s.io/v1.RuleWithOperations
admissionregistration.k8s.io/v1.ParamKind 1:apiVersion:s~ 2:kind:s~
admissionregistration.k8s.io/v1.ParamRef 1:name:s~ 2:namespace:s~ 3:selector:Mmeta.LabelSelector?~ 4:parameterNotFoundAction:s?~
admissionregistration.k8s.io/v1.Rule 1:apiGroups:*s~ 2:apiVersions:*s~ 3:resources:*s~ 4:scope:s?~
admissionregistration.k8s.io/v1.RuleWithOperations 1:operations:*s~ 2:.:Madmissionregistration.k8s.io/v1.Rule
admissionregistration.k8s.io/v1.ServiceReference 1:namespace:s 2:name:s 3:path:s?~ 4:port:i?~
admissionregistration.k8s.io/v1.TypeChecking 1:expressionWarnings:*Madmissionregistration.k8s.io/v1.ExpressionWarning~
admissionregistration.k8s.io/v1.ValidatingAdmissionPolicy 1:metadata:Mmeta.ObjectMeta~ 2:spec:Madmissionregistration.k8s.io/v1.ValidatingAdmissionPolicySpec~ 3:status:Madmissionregistration.k8s.io/v1.ValidatingAdmissionPolicyStatus~
admissionregistration.k8s.io/v1.ValidatingAdmissionPolicyBinding 1:metadata:Mmeta.ObjectMeta~ 2:spec:Madmissionregistration.k8s.io/v1.ValidatingAdmissionPolicyBindingSpec~
admissionregistration.k8s.io/v1.ValidatingAdmissionPolicyBindingList 1:metadata:Mmeta.ListMeta~ 2:items:*Madmissionregistration.k8s.io/v1.ValidatingAdmissionPolicyBinding
admissionregistration.k8s.io/v1.ValidatingAdmissionPolicyBindingSpec 1:policyName:s~ 2:paramRef:Madmissionregistration.k8s.io/v1.ParamRef?~ 3:matchResources:Madmissionregistration.k8s.io/v1.MatchResources?~ 4:validationActions:*s~
admissionregistration.k8s.io/v1.ValidatingAdmissionPolicyList 1:metadata:Mmeta.ListMeta~ 2:items:*Madmissionregistration.k8s.io/v1.ValidatingAdmissionPolicy
admissionregistration.k8s.io/v1.ValidatingAdmissionPolicySpec 1:paramKind:Madmissionregistration.k8s.io/v1.ParamKind?~ 2:matchConstraints:Madmissionregistration.k8s.io/v1.MatchResources?~ 3:validations:*Madmissionregistration.k8s.io/v1.Validation~ 4:failurePolicy:s?~ 5:auditAnnotations:*Madmissionregistration.k8s.io/v1.AuditAnnotation~ 6:matchConditions:*Madmissionregistration.k8s.io/v1.MatchCondition~ 7:variables:*Madmissionregistration.k8s.io/v1.Variable~
admissionregistration.k8s.io/v1.ValidatingAdmissionPolicyStatus 1:observedGeneration:i~ 2:typeChecking:Madmissionregistration.k8s.io/v1.TypeChecking?~ 3:conditions:*Mmeta.Condition~
admissionregistration.k8s.io/v1.ValidatingWebhook 1:name:s 2:clientConfig:Madmissionregistration.k8s.io/v1.WebhookClientConfig 3:rules:*Madmissionregistration.k8s.io/v1.RuleWithOperations~ 4:failurePolicy:s?~ 9:matchPolicy:s?~ 5:namespaceSelector:Mmeta.LabelSelector?~ 10:objectSelector:Mmeta.LabelSelector?~ 6:sideEffects:s? 7:timeoutSeconds:i?~ 8:admissionReviewVersions:*s 11:matchConditions:*Madmissionregistration.k8s.io/v1.MatchCondition~
admissionregistration.k8s.io/v1.ValidatingWebhookConfiguration 1:metadata:Mmeta.ObjectMeta~ 2:webhooks:*Madmissionregistration.k8s.io/v1.ValidatingWebhook~
admissionregistration.k8s.io/v1.ValidatingWebhookConfigurationList 1:metadata:Mmeta.ListMeta~ 2:items:*Madmissionregistration.k8s.io/v1.ValidatingWebhookConfiguration
admissionregistration.k8s.io/v1.Validation 1:expression:s 2:message:s~ 3:reason:s?~ 4:messageExpression:s~
admissionregistration.k8s.io/v1.Variable 1:name:s 2:expression:s
admissionregistration.k8s.io/v1.WebhookClientConfig 3:url:s?~ 1:service:Madmissionregistration.k8s.io/v1.ServiceReference?~ 2:caBundle:y~
apiextensions.k8s.io/v1.CustomResourceColumnDefinition 1:name:s 2:type:s 3:format:s~ 4:description:s~ 5:priority:i~ 6:jsonPath:s
apiextensions.k8s.io/v1.CustomResourceConversion 1:strategy:s 2:webhook:Mapiextensions.k8s.io/v1.WebhookConversion?~
apiextensions.k8s.io/v1.CustomResourceDefinition 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mapiextensions.k8s.io/v1.CustomResourceDefinitionSpec 3:status:Mapiextensions.k8s.io/v1.CustomResourceDefinitionStatus~
apiextensions.k8s.io/v1.CustomResourceDefinitionCondition 1:type:s 2:status:s 3:lastTransitionTime:T~ 4:reason:s~ 5:message:s~ 6:observedGeneration:i~
apiextensions.k8s.io/v1.CustomResourceDefinitionList 1:metadata:Mmeta.ListMeta~ 2:items:*Mapiextensions.k8s.io/v1.CustomResourceDefinition
apiextensions.k8s.io/v1.CustomResourceDefinitionNames 1:plural:s 2:singular:s~ 3:shortNames:*s~ 4:kind:s 5:listKind:s~ 6:categories:*s~
apiextensions.k8s.io/v1.CustomResourceDefinitionSpec 1:group:s 3:names:Mapiextensions.k8s.io/v1.CustomResourceDefinitionNames 4:scope:s 7:versions:*Mapiextensions.k8s.io/v1.CustomResourceDefinitionVersion 9:conversion:Mapiextensions.k8s.io/v1.CustomResourceConversion?~ 10:preserveUnknownFields:b~
apiextensions.k8s.io/v1.CustomResourceDefinitionStatus 1:conditions:*Mapiextensions.k8s.io/v1.CustomResourceDefinitionCondition 2:acceptedNames:Mapiextensions.k8s.io/v1.CustomResourceDefinitionNames 3:storedVersions:*s 4:observedGeneration:i~
apiextensions.k8s.io/v1.CustomResourceDefinitionVersion 1:name:s 2:served:b 3:storage:b 7:deprecated:b~ 8:deprecationWarning:s?~ 4:schema:Mapiextensions.k8s.io/v1.CustomResourceValidation?~ 5:subresources:Mapiextensions.k8s.io/v1.CustomResourceSubresources?~ 6:additionalPrinterColumns:*Mapiextensions.k8s.io/v1.CustomResourceColumnDefinition~ 9:selectableFields:*Mapiextensions.k8s.io/v1.SelectableField~
apiextensions.k8s.io/v1.CustomResourceSubresourceScale 1:specReplicasPath:s 2:statusReplicasPath:s 3:labelSelectorPath:s?~
apiextensions.k8s.io/v1.CustomResourceSubresourceStatus
apiextensions.k8s.io/v1.CustomResourceSubresources 1:status:Mapiextensions.k8s.io/v1.CustomResourceSubresourceStatus?~ 2:scale:Mapiextensions.k8s.io/v1.CustomResourceSubresourceScale?~
apiextensions.k8s.io/v1.CustomResourceValidation 1:openAPIV3Schema:Mapiextensions.k8s.io/v1.JSONSchemaProps?~
apiextensions.k8s.io/v1.ExternalDocumentation 1:description:s~ 2:url:s~
apiextensions.k8s.io/v1.JSONSchemaProps 1:id:s~ 2:$schema:s~ 3:$ref:s?~ 4:description:s~ 5:type:s~ 6:format:s~ 7:title:s~ 8:default:R?~ 9:maximum:d?~ 10:exclusiveMaximum:b~ 11:minimum:d?~ 12:exclusiveMinimum:b~ 13:maxLength:i?~ 14:minLength:i?~ 15:pattern:s~ 16:maxItems:i?~ 17:minItems:i?~ 18:uniqueItems:b~ 19:multipleOf:d?~ 20:enum:*R~ 21:maxProperties:i?~ 22:minProperties:i?~ 23:required:*s~ 24:items:Mapiextensions.k8s.io/v1.JSONSchemaPropsOrArray?~ 25:allOf:*Mapiextensions.k8s.io/v1.JSONSchemaProps~ 26:oneOf:*Mapiextensions.k8s.io/v1.JSONSchemaProps~ 27:anyOf:*Mapiextensions.k8s.io/v1.JSONSchemaProps~ 28:not:Mapiextensions.k8s.io/v1.JSONSchemaProps?~ 29:properties:%Mapiextensions.k8s.io/v1.JSONSchemaProps~ 30:additionalProperties:Mapiextensions.k8s.io/v1.JSONSchemaPropsOrBool?~ 31:patternProperties:%Mapiextensions.k8s.io/v1.JSONSchemaProps~ 32:dependencies:%Mapiextensions.k8s.io/v1.JSONSchemaPropsOrStringArray~ 33:additionalItems:Mapiextensions.k8s.io/v1.JSONSchemaPropsOrBool?~ 34:definitions:%Mapiextensions.k8s.io/v1.JSONSchemaProps~ 35:externalDocs:Mapiextensions.k8s.io/v1.ExternalDocumentation?~ 36:example:R?~ 37:nullable:b~ 38:x-kubernetes-preserve-unknown-fields:b?~ 39:x-kubernetes-embedded-resource:b~ 40:x-kubernetes-int-or-string:b~ 41:x-kubernetes-list-map-keys:*s~ 42:x-kubernetes-list-type:s?~ 43:x-kubernetes-map-type:s?~ 44:x-kubernetes-validations:*Mapiextensions.k8s.io/v1.ValidationRule~
apiextensions.k8s.io/v1.JSONSchemaPropsOrArray 1:{}:Mapiextensions.k8s.io/v1.JSONSchemaProps? 2:[]:*Mapiextensions.k8s.io/v1.JSONSchemaProps
apiextensions.k8s.io/v1.JSONSchemaPropsOrBool 1:!:b 2:{}:Mapiextensions.k8s.io/v1.JSONSchemaProps?
apiextensions.k8s.io/v1.JSONSchemaPropsOrStringArray 1:{}:Mapiextensions.k8s.io/v1.JSONSchemaProps? 2:[]:*s
apiextensions.k8s.io/v1.SelectableField 1:jsonPath:s
apiextensions.k8s.io/v1.ServiceReference 1:namespace:s 2:name:s 3:path:s?~ 4:port:i?~
apiextensions.k8s.io/v1.ValidationRule 1:rule:s 2:message:s~ 3:messageExpression:s~ 4:reason:s?~ 5:fieldPath:s~ 6:optionalOldSelf:b?~
apiextensions.k8s.io/v1.WebhookClientConfig 3:url:s?~ 1:service:Mapiextensions.k8s.io/v1.ServiceReference?~ 2:caBundle:y~
apiextensions.k8s.io/v1.WebhookConversion 2:clientConfig:Mapiextensions.k8s.io/v1.WebhookClientConfig?~ 3:conversionReviewVersions:*s
apiregistration.k8s.io/v1.APIService 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mapiregistration.k8s.io/v1.APIServiceSpec~ 3:status:Mapiregistration.k8s.io/v1.APIServiceStatus~
apiregistration.k8s.io/v1.APIServiceCondition 1:type:s 2:status:s 3:lastTransitionTime:T~ 4:reason:s~ 5:message:s~
apiregistration.k8s.io/v1.APIServiceList 1:metadata:Mmeta.ListMeta~ 2:items:*Mapiregistration.k8s.io/v1.APIService
apiregistration.k8s.io/v1.APIServiceSpec 1:service:Mapiregistration.k8s.io/v1.ServiceReference?~ 2:group:s~ 3:version:s~ 4:insecureSkipTLSVerify:b~ 5:caBundle:y~ 7:groupPriorityMinimum:i 8:versionPriority:i
apiregistration.k8s.io/v1.APIServiceStatus 1:conditions:*Mapiregistration.k8s.io/v1.APIServiceCondition~
apiregistration.k8s.io/v1.ServiceReference 1:namespace:s~ 2:name:s~ 3:port:i?~
apps/v1.ControllerRevision 1:metadata:Mmeta.ObjectMeta~ 2:data:R~ 3:revision:i
apps/v1.ControllerRevisionList 1:metadata:Mmeta.ListMeta~ 2:items:*Mapps/v1.ControllerRevision
apps/v1.DaemonSet 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mapps/v1.DaemonSetSpec~ 3:status:Mapps/v1.DaemonSetStatus~
apps/v1.DaemonSetCondition 1:type:s 2:status:s 3:lastTransitionTime:T~ 4:reason:s~ 5:message:s~
apps/v1.DaemonSetList 1:metadata:Mmeta.ListMeta~ 2:items:*Mapps/v1.DaemonSet
apps/v1.DaemonSetSpec 1:selector:Mmeta.LabelSelector? 2:template:Mv1.PodTemplateSpec 3:updateStrategy:Mapps/v1.DaemonSetUpdateStrategy~ 4:minReadySeconds:i~ 6:revisionHistoryLimit:i?~
apps/v1.DaemonSetStatus 1:currentNumberScheduled:i 2:numberMisscheduled:i 3:desiredNumberScheduled:i 4:numberReady:i 5:observedGeneration:i~ 6:updatedNumberScheduled:i~ 7:numberAvailable:i~ 8:numberUnavailable:i~ 9:collisionCount:i?~ 10:conditions:*Mapps/v1.DaemonSetCondition~
apps/v1.DaemonSetUpdateStrategy 1:type:s~ 2:rollingUpdate:Mapps/v1.RollingUpdateDaemonSet?~
apps/v1.Deployment 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mapps/v1.DeploymentSpec~ 3:status:Mapps/v1.DeploymentStatus~
apps/v1.DeploymentCondition 1:type:s 2:status:s 6:lastUpdateTime:T~ 7:lastTransitionTime:T~ 4:reason:s~ 5:message:s~
apps/v1.DeploymentList 1:metadata:Mmeta.ListMeta~ 2:items:*Mapps/v1.Deployment
apps/v1.DeploymentSpec 1:replicas:i?~ 2:selector:Mmeta.LabelSelector? 3:template:Mv1.PodTemplateSpec 4:strategy:Mapps/v1.DeploymentStrategy~ 5:minReadySeconds:i~ 6:revisionHistoryLimit:i?~ 7:paused:b~ 9:progressDeadlineSeconds:i?~
apps/v1.DeploymentStatus 1:observedGeneration:i~ 2:replicas:i~ 3:updatedReplicas:i~ 7:readyReplicas:i~ 4:availableReplicas:i~ 5:unavailableReplicas:i~ 9:terminatingReplicas:i?~ 6:conditions:*Mapps/v1.DeploymentCondition~ 8:collisionCount:i?~
apps/v1.DeploymentStrategy 1:type:s~ 2:rollingUpdate:Mapps/v1.RollingUpdateDeployment?~
apps/v1.ReplicaSet 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mapps/v1.ReplicaSetSpec~ 3:status:Mapps/v1.ReplicaSetStatus~
apps/v1.ReplicaSetCondition 1:type:s 2:status:s 3:lastTransitionTime:T~ 4:reason:s~ 5:message:s~
apps/v1.ReplicaSetList 1:metadata:Mmeta.ListMeta~ 2:items:*Mapps/v1.ReplicaSet
apps/v1.ReplicaSetSpec 1:replicas:i?~ 4:minReadySeconds:i~ 2:selector:Mmeta.LabelSelector? 3:template:Mv1.PodTemplateSpec~
apps/v1.ReplicaSetStatus 1:replicas:i 2:fullyLabeledReplicas:i~ 4:readyReplicas:i~ 5:availableReplicas:i~ 7:terminatingReplicas:i?~ 3:observedGeneration:i~ 6:conditions:*Mapps/v1.ReplicaSetCondition~
apps/v1.RollingUpdateDaemonSet 1:maxUnavailable:I?~ 2:maxSurge:I?~
apps/v1.RollingUpdateDeployment 1:maxUnavailable:I?~ 2:maxSurge:I?~
apps/v1.RollingUpdateStatefulSetStrategy 1:partition:i?~ 2:maxUnavailable:I?~
apps/v1.StatefulSet 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mapps/v1.StatefulSetSpec~ 3:status:Mapps/v1.StatefulSetStatus~
apps/v1.StatefulSetCondition 1:type:s 2:status:s 3:lastTransitionTime:T~ 4:reason:s~ 5:message:s~
apps/v1.StatefulSetList 1:metadata:Mmeta.ListMeta~ 2:items:*Mapps/v1.StatefulSet
apps/v1.StatefulSetOrdinals 1:start:i
apps/v1.StatefulSetPersistentVolumeClaimRetentionPolicy 1:whenDeleted:s~ 2:whenScaled:s~
apps/v1.StatefulSetSpec 1:replicas:i?~ 2:selector:Mmeta.LabelSelector? 3:template:Mv1.PodTemplateSpec 4:volumeClaimTemplates:*Mv1.PersistentVolumeClaim~ 5:serviceName:s 6:podManagementPolicy:s~ 7:updateStrategy:Mapps/v1.StatefulSetUpdateStrategy~ 8:revisionHistoryLimit:i?~ 9:minReadySeconds:i~ 10:persistentVolumeClaimRetentionPolicy:Mapps/v1.StatefulSetPersistentVolumeClaimRetentionPolicy?~ 11:ordinals:Mapps/v1.StatefulSetOrdinals?~
apps/v1.StatefulSetStatus 1:observedGeneration:i~ 2:replicas:i 3:readyReplicas:i~ 4:currentReplicas:i~ 5:updatedReplicas:i~ 6:currentRevision:s~ 7:updateRevision:s~ 9:collisionCount:i?~ 10:conditions:*Mapps/v1.StatefulSetCondition~ 11:availableReplicas:i
apps/v1.StatefulSetUpdateStrategy 1:type:s~ 2:rollingUpdate:Mapps/v1.RollingUpdateStatefulSetStrategy?~
authentication.k8s.io/v1.BoundObjectReference 1:kind:s~ 2:apiVersion:s~ 3:name:s~ 4:uid:s~
authentication.k8s.io/v1.ExtraValue 1:[]:*s
authentication.k8s.io/v1.SelfSubjectReview 1:metadata:Mmeta.ObjectMeta~ 2:status:Mauthentication.k8s.io/v1.SelfSubjectReviewStatus~
authentication.k8s.io/v1.SelfSubjectReviewStatus 1:userInfo:Mauthentication.k8s.io/v1.UserInfo~
authentication.k8s.io/v1.TokenRequest 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mauthentication.k8s.io/v1.TokenRequestSpec 3:status:Mauthentication.k8s.io/v1.TokenRequestStatus~
authentication.k8s.io/v1.TokenRequestSpec 1:audiences:*s 4:expirationSeconds:i? 3:boundObjectRef:Mauthentication.k8s.io/v1.BoundObjectReference?
authentication.k8s.io/v1.TokenRequestStatus 1:token:s 2:expirationTimestamp:T
authentication.k8s.io/v1.TokenReview 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mauthentication.k8s.io/v1.TokenReviewSpec 3:status:Mauthentication.k8s.io/v1.TokenReviewStatus~
authentication.k8s.io/v1.TokenReviewSpec 1:token:s~ 2:audiences:*s~
authentication.k8s.io/v1.TokenReviewStatus 1:authenticated:b~ 2:user:Mauthentication.k8s.io/v1.UserInfo~ 4:audiences:*s~ 3:error:s~
authentication.k8s.io/v1.UserInfo 1:username:s~ 2:uid:s~ 3:groups:*s~ 4:extra:%Mauthentication.k8s.io/v1.ExtraValue~
authorization.k8s.io/v1.ExtraValue 1:[]:*s
authorization.k8s.io/v1.FieldSelectorAttributes 1:rawSelector:s~ 2:requirements:*Mmeta.FieldSelectorRequirement~
authorization.k8s.io/v1.LabelSelectorAttributes 1:rawSelector:s~ 2:requirements:*Mmeta.LabelSelectorRequirement~
authorization.k8s.io/v1.LocalSubjectAccessReview 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mauthorization.k8s.io/v1.SubjectAccessReviewSpec 3:status:Mauthorization.k8s.io/v1.SubjectAccessReviewStatus~
authorization.k8s.io/v1.NonResourceAttributes 1:path:s~ 2:verb:s~
authorization.k8s.io/v1.NonResourceRule 1:verbs:*s 2:nonResourceURLs:*s~
authorization.k8s.io/v1.ResourceAttributes 1:namespace:s~ 2:verb:s~ 3:group:s~ 4:version:s~ 5:resource:s~ 6:subresource:s~ 7:name:s~ 8:fieldSelector:Mauthorization.k8s.io/v1.FieldSelectorAttributes?~ 9:labelSelector:Mauthorization.k8s.io/v1.LabelSelectorAttributes?~
authorization.k8s.io/v1.ResourceRule 1:verbs:*s 2:apiGroups:*s~ 3:resources:*s~ 4:resourceNames:*s~
authorization.k8s.io/v1.SelfSubjectAccessReview 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mauthorization.k8s.io/v1.SelfSubjectAccessReviewSpec 3:status:Mauthorization.k8s.io/v1.SubjectAccessReviewStatus~
authorization.k8s.io/v1.SelfSubjectAccessReviewSpec 1:resourceAttributes:Mauthorization.k8s.io/v1.ResourceAttributes?~ 2:nonResourceAttributes:Mauthorization.k8s.io/v1.NonResourceAttributes?~
authorization.k8s.io/v1.SelfSubjectRulesReview 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mauthorization.k8s.io/v1.SelfSubjectRulesReviewSpec 3:status:Mauthorization.k8s.io/v1.SubjectRulesReviewStatus~
authorization.k8s.io/v1.SelfSubjectRulesReviewSpec 1:namespace:s~
authorization.k8s.io/v1.SubjectAccessReview 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mauthorization.k8s.io/v1.SubjectAccessReviewSpec 3:status:Mauthorization.k8s.io/v1.SubjectAccessReviewStatus~
authorization.k8s.io/v1.SubjectAccessReviewSpec 1:resourceAttributes:Mauthorization.k8s.io/v1.ResourceAttributes?~ 2:nonResourceAttributes:Mauthorization.k8s.io/v1.NonResourceAttributes?~ 3:user:s~ 4:groups:*s~ 5:extra:%Mauthorization.k8s.io/v1.ExtraValue~ 6:uid:s~
authorization.k8s.io/v1.SubjectAccessReviewStatus 1:allowed:b 4:denied:b~ 2:reason:s~ 3:evaluationError:s~
authorization.k8s.io/v1.SubjectRulesReviewStatus 1:resourceRules:*Mauthorization.k8s.io/v1.ResourceRule 2:nonResourceRules:*Mauthorization.k8s.io/v1.NonResourceRule 3:incomplete:b 4:evaluationError:s~
autoscaling/v1.ContainerResourceMetricSource 1:name:s 2:targetAverageUtilization:i?~ 3:targetAverageValue:Q?~ 5:container:s
autoscaling/v1.ContainerResourceMetricStatus 1:name:s 2:currentAverageUtilization:i?~ 3:currentAverageValue:Q 4:container:s
autoscaling/v1.CrossVersionObjectReference 1:kind:s 2:name:s 3:apiVersion:s~
autoscaling/v1.ExternalMetricSource 1:metricName:s 2:metricSelector:Mmeta.LabelSelector?~ 3:targetValue:Q?~ 4:targetAverageValue:Q?~
autoscaling/v1.ExternalMetricStatus 1:metricName:s 2:metricSelector:Mmeta.LabelSelector?~ 3:currentValue:Q 4:currentAverageValue:Q?~
autoscaling/v1.HorizontalPodAutoscaler 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mautoscaling/v1.HorizontalPodAutoscalerSpec~ 3:status:Mautoscaling/v1.HorizontalPodAutoscalerStatus~
autoscaling/v1.HorizontalPodAutoscalerCondition 1:type:s 2:status:s 3:lastTransitionTime:T~ 4:reason:s~ 5:message:s~
autoscaling/v1.HorizontalPodAutoscalerList 1:metadata:Mmeta.ListMeta~ 2:items:*Mautoscaling/v1.HorizontalPodAutoscaler
autoscaling/v1.HorizontalPodAutoscalerSpec 1:scaleTargetRef:Mautoscaling/v1.CrossVersionObjectReference 2:minReplicas:i?~ 3:maxReplicas:i 4:targetCPUUtilizationPercentage:i?~
autoscaling/v1.HorizontalPodAutoscalerStatus 1:observedGeneration:i?~ 2:lastScaleTime:T?~ 3:currentReplicas:i 4:desiredReplicas:i 5:currentCPUUtilizationPercentage:i?~
autoscaling/v1.MetricSpec 1:type:s 2:object:Mautoscaling/v1.ObjectMetricSource?~ 3:pods:Mautoscaling/v1.PodsMetricSource?~ 4:resource:Mautoscaling/v1.ResourceMetricSource?~ 7:containerResource:Mautoscaling/v1.ContainerResourceMetricSource?~ 5:external:Mautoscaling/v1.ExternalMetricSource?~
autoscaling/v1.MetricStatus 1:type:s 2:object:Mautoscaling/v1.ObjectMetricStatus?~ 3:pods:Mautoscaling/v1.PodsMetricStatus?~ 4:resource:Mautoscaling/v1.ResourceMetricStatus?~ 7:containerResource:Mautoscaling/v1.ContainerResourceMetricStatus?~ 5:external:Mautoscaling/v1.ExternalMetricStatus?~
autoscaling/v1.ObjectMetricSource 1:target:Mautoscaling/v1.CrossVersionObjectReference 2:metricName:s 3:targetValue:Q 4:selector:Mmeta.LabelSelector?~ 5:averageValue:Q?~
autoscaling/v1.ObjectMetricStatus 1:target:Mautoscaling/v1.CrossVersionObjectReference 2:metricName:s 3:currentValue:Q 4:selector:Mmeta.LabelSelector?~ 5:averageValue:Q?~
autoscaling/v1.PodsMetricSource 1:metricName:s 2:targetAverageValue:Q 3:selector:Mmeta.LabelSelector?~
autoscaling/v1.PodsMetricStatus 1:metricName:s 2:currentAverageValue:Q 3:selector:Mmeta.LabelSelector?~
autoscaling/v1.ResourceMetricSource 1:name:s 2:targetAverageUtilization:i?~ 3:targetAverageValue:Q?~
autoscaling/v1.ResourceMetricStatus 1:name:s 2:currentAverageUtilization:i?~ 3:currentAverageValue:Q
autoscaling/v1.Scale 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mautoscaling/v1.ScaleSpec~ 3:status:Mautoscaling/v1.ScaleStatus~
autoscaling/v1.ScaleSpec 1:replicas:i~
autoscaling/v1.ScaleStatus 1:replicas:i 2:selector:s~
autoscaling/v2.ContainerResourceMetricSource 1:name:s 2:target:Mautoscaling/v2.MetricTarget 3:container:s
autoscaling/v2.ContainerResourceMetricStatus 1:name:s 2:current:Mautoscaling/v2.MetricValueStatus 3:container:s
autoscaling/v2.CrossVersionObjectReference 1:kind:s 2:name:s 3:apiVersion:s~
autoscaling/v2.ExternalMetricSource 1:metric:Mautoscaling/v2.MetricIdentifier 2:target:Mautoscaling/v2.MetricTarget
autoscaling/v2.ExternalMetricStatus 1:metric:Mautoscaling/v2.MetricIdentifier 2:current:Mautoscaling/v2.MetricValueStatus
autoscaling/v2.HPAScalingPolicy 1:type:s 2:value:i 3:periodSeconds:i
autoscaling/v2.HPAScalingRules 3:stabilizationWindowSeconds:i?~ 1:selectPolicy:s?~ 2:policies:*Mautoscaling/v2.HPAScalingPolicy~ 4:tolerance:Q?~
autoscaling/v2.HorizontalPodAutoscaler 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mautoscaling/v2.HorizontalPodAutoscalerSpec~ 3:status:Mautoscaling/v2.HorizontalPodAutoscalerStatus~
autoscaling/v2.HorizontalPodAutoscalerBehavior 1:scaleUp:Mautoscaling/v2.HPAScalingRules?~ 2:scaleDown:Mautoscaling/v2.HPAScalingRules?~
autoscaling/v2.HorizontalPodAutoscalerCondition 1:type:s 2:status:s 3:lastTransitionTime:T~ 4:reason:s~ 5:message:s~
autoscaling/v2.HorizontalPodAutoscalerList 1:metadata:Mmeta.ListMeta~ 2:items:*Mautoscaling/v2.HorizontalPodAutoscaler
autoscaling/v2.HorizontalPodAutoscalerSpec 1:scaleTargetRef:Mautoscaling/v2.CrossVersionObjectReference 2:minReplicas:i?~ 3:maxReplicas:i 4:metrics:*Mautoscaling/v2.MetricSpec~ 5:behavior:Mautoscaling/v2.HorizontalPodAutoscalerBehavior?~
autoscaling/v2.HorizontalPodAutoscalerStatus 1:observedGeneration:i?~ 2:lastScaleTime:T?~ 3:currentReplicas:i~ 4:desiredReplicas:i 5:currentMetrics:*Mautoscaling/v2.MetricStatus 6:conditions:*Mautoscaling/v2.HorizontalPodAutoscalerCondition~
autoscaling/v2.MetricIdentifier 1:name:s 2:selector:Mmeta.LabelSelector?~
autoscaling/v2.MetricSpec 1:type:s 2:object:Mautoscaling/v2.ObjectMetricSource?~ 3:pods:Mautoscaling/v2.PodsMetricSource?~ 4:resource:Mautoscaling/v2.ResourceMetricSource?~ 7:containerResource:Mautoscaling/v2.ContainerResourceMetricSource?~ 5:external:Mautoscaling/v2.ExternalMetricSource?~
autoscaling/v2.MetricStatus 1:type:s 2:object:Mautoscaling/v2.ObjectMetricStatus?~ 3:pods:Mautoscaling/v2.PodsMetricStatus?~ 4:resource:Mautoscaling/v2.ResourceMetricStatus?~ 7:containerResource:Mautoscaling/v2.ContainerResourceMetricStatus?~ 5:external:Mautoscaling/v2.ExternalMetricStatus?~
autoscaling/v2.MetricTarget 1:type:s 2:value:Q?~ 3:averageValue:Q?~ 4:averageUtilization:i?~
autoscaling/v2.MetricValueStatus 1:value:Q?~ 2:averageValue:Q?~ 3:averageUtilization:i?~
autoscaling/v2.ObjectMetricSource 1:describedObject:Mautoscaling/v2.CrossVersionObjectReference 2:target:Mautoscaling/v2.MetricTarget 3:metric:Mautoscaling/v2.MetricIdentifier
autoscaling/v2.ObjectMetricStatus 1:metric:Mautoscaling/v2.MetricIdentifier 2:current:Mautoscaling/v2.MetricValueStatus 3:describedObject:Mautoscaling/v2.CrossVersionObjectReference
autoscaling/v2.PodsMetricSource 1:metric:Mautoscaling/v2.MetricIdentifier 2:target:Mautoscaling/v2.MetricTarget
autoscaling/v2.PodsMetricStatus 1:metric:Mautoscaling/v2.MetricIdentifier 2:current:Mautoscaling/v2.MetricValueStatus
autoscaling/v2.ResourceMetricSource 1:name:s 2:target:Mautoscaling/v2.MetricTarget
autoscaling/v2.ResourceMetricStatus 1:name:s 2:current:Mautoscaling/v2.MetricValueStatus
batch/v1.CronJob 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mbatch/v1.CronJobSpec~ 3:status:Mbatch/v1.CronJobStatus~
batch/v1.CronJobList 1:metadata:Mmeta.ListMeta~ 2:items:*Mbatch/v1.CronJob
batch/v1.CronJobSpec 1:schedule:s 8:timeZone:s?~ 2:startingDeadlineSeconds:i?~ 3:concurrencyPolicy:s~ 4:suspend:b?~ 5:jobTemplate:Mbatch/v1.JobTemplateSpec 6:successfulJobsHistoryLimit:i?~ 7:failedJobsHistoryLimit:i?~
batch/v1.CronJobStatus 1:active:*Mv1.ObjectReference~ 4:lastScheduleTime:T?~ 5:lastSuccessfulTime:T?~
batch/v1.Job 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mbatch/v1.JobSpec~ 3:status:Mbatch/v1.JobStatus~
batch/v1.JobCondition 1:type:s 2:status:s 3:lastProbeTime:T~ 4:lastTransitionTime:T~ 5:reason:s~ 6:message:s~
batch/v1.JobList 1:metadata:Mmeta.ListMeta~ 2:items:*Mbatch/v1.Job
batch/v1.JobSpec 1:parallelism:i?~ 2:completions:i?~ 3:activeDeadlineSeconds:i?~ 11:podFailurePolicy:Mbatch/v1.PodFailurePolicy?~ 16:successPolicy:Mbatch/v1.SuccessPolicy?~ 7:backoffLimit:i?~ 12:backoffLimitPerIndex:i?~ 13:maxFailedIndexes:i?~ 4:selector:Mmeta.LabelSelector?~ 5:manualSelector:b?~ 6:template:Mv1.PodTemplateSpec 8:ttlSecondsAfterFinished:i?~ 9:completionMode:s?~ 10:suspend:b?~ 14:podReplacementPolicy:s?~ 15:managedBy:s?~
batch/v1.JobStatus 1:conditions:*Mbatch/v1.JobCondition~ 2:startTime:T?~ 3:completionTime:T?~ 4:active:i~ 5:succeeded:i~ 6:failed:i~ 11:terminating:i?~ 7:completedIndexes:s~ 10:failedIndexes:s?~ 8:uncountedTerminatedPods:Mbatch/v1.UncountedTerminatedPods?~ 9:ready:i?~
batch/v1.JobTemplateSpec 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mbatch/v1.JobSpec~
batch/v1.PodFailurePolicy 1:rules:*Mbatch/v1.PodFailurePolicyRule
batch/v1.PodFailurePolicyOnExitCodesRequirement 1:containerName:s?~ 2:operator:s 3:values:*i
batch/v1.PodFailurePolicyOnPodConditionsPattern 1:type:s 2:status:s
batch/v1.PodFailurePolicyRule 1:action:s 2:onExitCodes:Mbatch/v1.PodFailurePolicyOnExitCodesRequirement?~ 3:onPodConditions:*Mbatch/v1.PodFailurePolicyOnPodConditionsPattern~
batch/v1.SuccessPolicy 1:rules:*Mbatch/v1.SuccessPolicyRule
batch/v1.SuccessPolicyRule 1:succeededIndexes:s?~ 2:succeededCount:i?~
batch/v1.UncountedTerminatedPods 1:succeeded:*s~ 2:failed:*s~
certificates.k8s.io/v1.CertificateSigningRequest 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mcertificates.k8s.io/v1.CertificateSigningRequestSpec 3:status:Mcertificates.k8s.io/v1.CertificateSigningRequestStatus~
certificates.k8s.io/v1.CertificateSigningRequestCondition 1:type:s 6:status:s 2:reason:s~ 3:message:s~ 4:lastUpdateTime:T~ 5:lastTransitionTime:T~
certificates.k8s.io/v1.CertificateSigningRequestList 1:metadata:Mmeta.ListMeta~ 2:items:*Mcertificates.k8s.io/v1.CertificateSigningRequest
certificates.k8s.io/v1.CertificateSigningRequestSpec 1:request:y 7:signerName:s 8:expirationSeconds:i?~ 5:usages:*s~ 2:username:s~ 3:uid:s~ 4:groups:*s~ 6:extra:%Mcertificates.k8s.io/v1.ExtraValue~
certificates.k8s.io/v1.CertificateSigningRequestStatus 1:conditions:*Mcertificates.k8s.io/v1.CertificateSigningRequestCondition~ 2:certificate:y~
certificates.k8s.io/v1.ExtraValue 1:[]:*s
coordination.k8s.io/v1.Lease 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mcoordination.k8s.io/v1.LeaseSpec~
coordination.k8s.io/v1.LeaseList 1:metadata:Mmeta.ListMeta~ 2:items:*Mcoordination.k8s.io/v1.Lease
coordination.k8s.io/v1.LeaseSpec 1:holderIdentity:s?~ 2:leaseDurationSeconds:i?~ 3:acquireTime:U?~ 4:renewTime:U?~ 5:leaseTransitions:i?~ 6:strategy:s?~ 7:preferredHolder:s?~
discovery.k8s.io/v1.Endpoint 1:addresses:*s 2:conditions:Mdiscovery.k8s.io/v1.EndpointConditions~ 3:hostname:s?~ 4:targetRef:Mv1.ObjectReference?~ 5:deprecatedTopology:%s~ 6:nodeName:s?~ 7:zone:s?~ 8:hints:Mdiscovery.k8s.io/v1.EndpointHints?~
discovery.k8s.io/v1.EndpointConditions 1:ready:b?~ 2:serving:b?~ 3:terminating:b?~
discovery.k8s.io/v1.EndpointHints 1:forZones:*Mdiscovery.k8s.io/v1.ForZone~ 2:forNodes:*Mdiscovery.k8s.io/v1.ForNode~
discovery.k8s.io/v1.EndpointPort 1:name:s?~ 2:protocol:s?~ 3:port:i?~ 4:appProtocol:s?~
discovery.k8s.io/v1.EndpointSlice 1:metadata:Mmeta.ObjectMeta~ 4:addressType:s 2:endpoints:*Mdiscovery.k8s.io/v1.Endpoint 3:ports:*Mdiscovery.k8s.io/v1.EndpointPort
discovery.k8s.io/v1.EndpointSliceList 1:metadata:Mmeta.ListMeta~ 2:items:*Mdiscovery.k8s.io/v1.EndpointSlice
discovery.k8s.io/v1.ForNode 1:name:s
discovery.k8s.io/v1.ForZone 1:name:s
events.k8s.io/v1.Event 1:metadata:Mmeta.ObjectMeta 2:eventTime:U 3:series:Mevents.k8s.io/v1.EventSeries?~ 4:reportingController:s~ 5:reportingInstance:s~ 6:action:s~ 7:reason:s~ 8:regarding:Mv1.ObjectReference~ 9:related:Mv1.ObjectReference?~ 10:note:s~ 11:type:s~ 12:deprecatedSource:Mv1.EventSource~ 13:deprecatedFirstTimestamp:T~ 14:deprecatedLastTimestamp:T~ 15:deprecatedCount:i~
events.k8s.io/v1.EventList 1:metadata:Mmeta.ListMeta~ 2:items:*Mevents.k8s.io/v1.Event
events.k8s.io/v1.EventSeries 1:count:i 2:lastObservedTime:U
flowcontrol.apiserver.k8s.io/v1.ExemptPriorityLevelConfiguration 1:nominalConcurrencyShares:i?~ 2:lendablePercent:i?~
flowcontrol.apiserver.k8s.io/v1.FlowDistinguisherMethod 1:type:s
flowcontrol.apiserver.k8s.io/v1.FlowSchema 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mflowcontrol.apiserver.k8s.io/v1.FlowSchemaSpec~ 3:status:Mflowcontrol.apiserver.k8s.io/v1.FlowSchemaStatus~
flowcontrol.apiserver.k8s.io/v1.FlowSchemaCondition 1:type:s~ 2:status:s~ 3:lastTransitionTime:T~ 4:reason:s~ 5:message:s~
flowcontrol.apiserver.k8s.io/v1.FlowSchemaList 1:metadata:Mmeta.ListMeta~ 2:items:*Mflowcontrol.apiserver.k8s.io/v1.FlowSchema
flowcontrol.apiserver.k8s.io/v1.FlowSchemaSpec 1:priorityLevelConfiguration:Mflowcontrol.apiserver.k8s.io/v1.PriorityLevelConfigurationReference 2:matchingPrecedence:i 3:distinguisherMethod:Mflowcontrol.apiserver.k8s.io/v1.FlowDistinguisherMethod?~ 4:rules:*Mflowcontrol.apiserver.k8s.io/v1.PolicyRulesWithSubjects~
flowcontrol.apiserver.k8s.io/v1.FlowSchemaStatus 1:conditions:*Mflowcontrol.apiserver.k8s.io/v1.FlowSchemaCondition~
flowcontrol.apiserver.k8s.io/v1.GroupSubject 1:name:s
flowcontrol.apiserver.k8s.io/v1.LimitResponse 1:type:s 2:queuing:Mflowcontrol.apiserver.k8s.io/v1.QueuingConfiguration?~
flowcontrol.apiserver.k8s.io/v1.LimitedPriorityLevelConfiguration 1:nominalConcurrencyShares:i? 2:limitResponse:Mflowcontrol.apiserver.k8s.io/v1.LimitResponse~ 3:lendablePercent:i?~ 4:borrowingLimitPercent:i?~
flowcontrol.apiserver.k8s.io/v1.NonResourcePolicyRule 1:verbs:*s 6:nonResourceURLs:*s
flowcontrol.apiserver.k8s.io/v1.PolicyRulesWithSubjects 1:subjects:*Mflowcontrol.apiserver.k8s.io/v1.Subject 2:resourceRules:*Mflowcontrol.apiserver.k8s.io/v1.ResourcePolicyRule~ 3:nonResourceRules:*Mflowcontrol.apiserver.k8s.io/v1.NonResourcePolicyRule~
flowcontrol.apiserver.k8s.io/v1.PriorityLevelConfiguration 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mflowcontrol.apiserver.k8s.io/v1.PriorityLevelConfigurationSpec~ 3:status:Mflowcontrol.apiserver.k8s.io/v1.PriorityLevelConfigurationStatus~
flowcontrol.apiserver.k8s.io/v1.PriorityLevelConfigurationCondition 1:type:s~ 2:status:s~ 3:lastTransitionTime:T~ 4:reason:s~ 5:message:s~
flowcontrol.apiserver.k8s.io/v1.PriorityLevelConfigurationList 1:metadata:Mmeta.ListMeta~ 2:items:*Mflowcontrol.apiserver.k8s.io/v1.PriorityLevelConfiguration
flowcontrol.apiserver.k8s.io/v1.PriorityLevelConfigurationReference 1:name:s
flowcontrol.apiserver.k8s.io/v1.PriorityLevelConfigurationSpec 1:type:s 2:limited:Mflowcontrol.apiserver.k8s.io/v1.LimitedPriorityLevelConfiguration?~ 3:exempt:Mflowcontrol.apiserver.k8s.io/v1.ExemptPriorityLevelConfiguration?~
flowcontrol.apiserver.k8s.io/v1.PriorityLevelConfigurationStatus 1:conditions:*Mflowcontrol.apiserver.k8s.io/v1.PriorityLevelConfigurationCondition~
flowcontrol.apiserver.k8s.io/v1.QueuingConfiguration 1:queues:i 2:handSize:i 3:queueLengthLimit:i
flowcontrol.apiserver.k8s.io/v1.ResourcePolicyRule 1:verbs:*s 2:apiGroups:*s 3:resources:*s 4:clusterScope:b~ 5:namespaces:*s
flowcontrol.apiserver.k8s.io/v1.ServiceAccountSubject 1:namespace:s 2:name:s
flowcontrol.apiserver.k8s.io/v1.Subject 1:kind:s 2:user:Mflowcontrol.apiserver.k8s.io/v1.UserSubject?~ 3:group:Mflowcontrol.apiserver.k8s.io/v1.GroupSubject?~ 4:serviceAccount:Mflowcontrol.apiserver.k8s.io/v1.ServiceAccountSubject?~
flowcontrol.apiserver.k8s.io/v1.UserSubject 1:name:s
meta.APIGroup 1:name:s 2:versions:*Mmeta.GroupVersionForDiscovery 3:preferredVersion:Mmeta.GroupVersionForDiscovery~ 4:serverAddressByClientCIDRs:*Mmeta.ServerAddressByClientCIDR~
meta.APIGroupList 1:groups:*Mmeta.APIGroup
meta.APIResource 1:name:s 6:singularName:s 2:namespaced:b 8:group:s~ 9:version:s~ 3:kind:s 4:verbs:Mmeta.Verbs 5:shortNames:*s~ 7:categories:*s~ 10:storageVersionHash:s~
meta.APIResourceList 1:groupVersion:s 2:resources:*Mmeta.APIResource
meta.APIVersions 1:versions:*s 2:serverAddressByClientCIDRs:*Mmeta.ServerAddressByClientCIDR
meta.ApplyOptions 1:dryRun:*s~ 2:force:b 3:fieldManager:s
meta.Condition 1:type:s 2:status:s 3:observedGeneration:i~ 4:lastTransitionTime:T 5:reason:s 6:message:s
meta.CreateOptions 1:dryRun:*s~ 3:fieldManager:s~ 4:fieldValidation:s~
meta.DeleteOptions 1:gracePeriodSeconds:i?~ 2:preconditions:Mmeta.Preconditions?~ 3:orphanDependents:b?~ 4:propagationPolicy:s?~ 5:dryRun:*s~ 6:ignoreStoreReadErrorWithClusterBreakingPotential:b?~
meta.FieldSelectorRequirement 1:key:s 2:operator:s 3:values:*s~
meta.GetOptions 1:resourceVersion:s~
meta.GroupVersionForDiscovery 1:groupVersion:s 2:version:s
meta.LabelSelector 1:matchLabels:%s~ 2:matchExpressions:*Mmeta.LabelSelectorRequirement~
meta.LabelSelectorRequirement 1:key:s 2:operator:s 3:values:*s~
meta.ListMeta 1:selfLink:s~ 2:resourceVersion:s~ 3:continue:s~ 4:remainingItemCount:i?~ 5:shardInfo:Mmeta.ShardInfo?~
meta.ListOptions 1:labelSelector:s~ 2:fieldSelector:s~ 3:watch:b~ 9:allowWatchBookmarks:b~ 4:resourceVersion:s~ 10:resourceVersionMatch:s~ 5:timeoutSeconds:i?~ 7:limit:i~ 8:continue:s~ 11:sendInitialEvents:b?~ 15:shardSelector:s~
meta.ManagedFieldsEntry 1:manager:s~ 2:operation:s~ 3:apiVersion:s~ 4:time:T?~ 6:fieldsType:s~ 7:fieldsV1:F?~ 8:subresource:s~
meta.ObjectMeta 1:name:s~ 2:generateName:s~ 3:namespace:s~ 4:selfLink:s~ 5:uid:s~ 6:resourceVersion:s~ 7:generation:i~ 8:creationTimestamp:T~ 9:deletionTimestamp:T?~ 10:deletionGracePeriodSeconds:i?~ 11:labels:%s~ 12:annotations:%s~ 13:ownerReferences:*Mmeta.OwnerReference~ 14:finalizers:*s~ 17:managedFields:*Mmeta.ManagedFieldsEntry~
meta.OwnerReference 5:apiVersion:s 1:kind:s 3:name:s 4:uid:s 6:controller:b?~ 7:blockOwnerDeletion:b?~
meta.PartialObjectMetadata 1:metadata:Mmeta.ObjectMeta~
meta.PartialObjectMetadataList 1:metadata:Mmeta.ListMeta~ 2:items:*Mmeta.PartialObjectMetadata
meta.PatchOptions 1:dryRun:*s~ 2:force:b?~ 3:fieldManager:s~ 4:fieldValidation:s~
meta.Preconditions 1:uid:s?~ 2:resourceVersion:s?~
meta.RootPaths 1:paths:*s
meta.ServerAddressByClientCIDR 1:clientCIDR:s 2:serverAddress:s
meta.ShardInfo 1:selector:s
meta.Status 1:metadata:Mmeta.ListMeta~ 2:status:s~ 3:message:s~ 4:reason:s~ 5:details:Mmeta.StatusDetails?~ 6:code:i~
meta.StatusCause 1:reason:s~ 2:message:s~ 3:field:s~
meta.StatusDetails 1:name:s~ 2:group:s~ 3:kind:s~ 6:uid:s~ 4:causes:*Mmeta.StatusCause~ 5:retryAfterSeconds:i~
meta.TableOptions 1:includeObject:s~
meta.TypeMeta 1:kind:s~ 2:apiVersion:s~
meta.UpdateOptions 1:dryRun:*s~ 2:fieldManager:s~ 3:fieldValidation:s~
meta.Verbs 1:[]:*s
networking.k8s.io/v1.HTTPIngressPath 1:path:s~ 3:pathType:s? 2:backend:Mnetworking.k8s.io/v1.IngressBackend
networking.k8s.io/v1.HTTPIngressRuleValue 1:paths:*Mnetworking.k8s.io/v1.HTTPIngressPath
networking.k8s.io/v1.IPAddress 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mnetworking.k8s.io/v1.IPAddressSpec~
networking.k8s.io/v1.IPAddressList 1:metadata:Mmeta.ListMeta~ 2:items:*Mnetworking.k8s.io/v1.IPAddress
networking.k8s.io/v1.IPAddressSpec 1:parentRef:Mnetworking.k8s.io/v1.ParentReference?~
networking.k8s.io/v1.IPBlock 1:cidr:s 2:except:*s~
networking.k8s.io/v1.Ingress 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mnetworking.k8s.io/v1.IngressSpec~ 3:status:Mnetworking.k8s.io/v1.IngressStatus~
networking.k8s.io/v1.IngressBackend 4:service:Mnetworking.k8s.io/v1.IngressServiceBackend?~ 3:resource:Mv1.TypedLocalObjectReference?~
networking.k8s.io/v1.IngressClass 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mnetworking.k8s.io/v1.IngressClassSpec~
networking.k8s.io/v1.IngressClassList 1:metadata:Mmeta.ListMeta~ 2:items:*Mnetworking.k8s.io/v1.IngressClass
networking.k8s.io/v1.IngressClassParametersReference 1:apiGroup:s?~ 2:kind:s 3:name:s 4:scope:s? 5:namespace:s?~
networking.k8s.io/v1.IngressClassSpec 1:controller:s~ 2:parameters:Mnetworking.k8s.io/v1.IngressClassParametersReference?~
networking.k8s.io/v1.IngressList 1:metadata:Mmeta.ListMeta~ 2:items:*Mnetworking.k8s.io/v1.Ingress
networking.k8s.io/v1.IngressLoadBalancerIngress 1:ip:s~ 2:hostname:s~ 4:ports:*Mnetworking.k8s.io/v1.IngressPortStatus~
networking.k8s.io/v1.IngressLoadBalancerStatus 1:ingress:*Mnetworking.k8s.io/v1.IngressLoadBalancerIngress~
networking.k8s.io/v1.IngressPortStatus 1:port:i 2:protocol:s 3:error:s?~
networking.k8s.io/v1.IngressRule 1:host:s~ 2:.:Mnetworking.k8s.io/v1.IngressRuleValue
networking.k8s.io/v1.IngressRuleValue 1:http:Mnetworking.k8s.io/v1.HTTPIngressRuleValue?~
networking.k8s.io/v1.IngressServiceBackend 1:name:s 2:port:Mnetworking.k8s.io/v1.ServiceBackendPort~
networking.k8s.io/v1.IngressSpec 4:ingressClassName:s?~ 1:defaultBackend:Mnetworking.k8s.io/v1.IngressBackend?~ 2:tls:*Mnetworking.k8s.io/v1.IngressTLS~ 3:rules:*Mnetworking.k8s.io/v1.IngressRule~
networking.k8s.io/v1.IngressStatus 1:loadBalancer:Mnetworking.k8s.io/v1.IngressLoadBalancerStatus~
networking.k8s.io/v1.IngressTLS 1:hosts:*s~ 2:secretName:s~
networking.k8s.io/v1.NetworkPolicy 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mnetworking.k8s.io/v1.NetworkPolicySpec~
networking.k8s.io/v1.NetworkPolicyEgressRule 1:ports:*Mnetworking.k8s.io/v1.NetworkPolicyPort~ 2:to:*Mnetworking.k8s.io/v1.NetworkPolicyPeer~
networking.k8s.io/v1.NetworkPolicyIngressRule 1:ports:*Mnetworking.k8s.io/v1.NetworkPolicyPort~ 2:from:*Mnetworking.k8s.io/v1.NetworkPolicyPeer~
networking.k8s.io/v1.NetworkPolicyList 1:metadata:Mmeta.ListMeta~ 2:items:*Mnetworking.k8s.io/v1.NetworkPolicy
networking.k8s.io/v1.NetworkPolicyPeer 1:podSelector:Mmeta.LabelSelector?~ 2:namespaceSelector:Mmeta.LabelSelector?~ 3:ipBlock:Mnetworking.k8s.io/v1.IPBlock?~
networking.k8s.io/v1.NetworkPolicyPort 1:protocol:s?~ 2:port:I?~ 3:endPort:i?~
networking.k8s.io/v1.NetworkPolicySpec 1:podSelector:Mmeta.LabelSelector 2:ingress:*Mnetworking.k8s.io/v1.NetworkPolicyIngressRule~ 3:egress:*Mnetworking.k8s.io/v1.NetworkPolicyEgressRule~ 4:policyTypes:*s~
networking.k8s.io/v1.ParentReference 1:group:s~ 2:resource:s~ 3:namespace:s~ 4:name:s~
networking.k8s.io/v1.ServiceBackendPort 1:name:s~ 2:number:i~
networking.k8s.io/v1.ServiceCIDR 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mnetworking.k8s.io/v1.ServiceCIDRSpec~ 3:status:Mnetworking.k8s.io/v1.ServiceCIDRStatus~
networking.k8s.io/v1.ServiceCIDRList 1:metadata:Mmeta.ListMeta~ 2:items:*Mnetworking.k8s.io/v1.ServiceCIDR
networking.k8s.io/v1.ServiceCIDRSpec 1:cidrs:*s~
networking.k8s.io/v1.ServiceCIDRStatus 1:conditions:*Mmeta.Condition~
node.k8s.io/v1.Overhead 1:podFixed:%Q~
node.k8s.io/v1.RuntimeClass 1:metadata:Mmeta.ObjectMeta~ 2:handler:s 3:overhead:Mnode.k8s.io/v1.Overhead?~ 4:scheduling:Mnode.k8s.io/v1.Scheduling?~
node.k8s.io/v1.RuntimeClassList 1:metadata:Mmeta.ListMeta~ 2:items:*Mnode.k8s.io/v1.RuntimeClass
node.k8s.io/v1.Scheduling 1:nodeSelector:%s~ 2:tolerations:*Mv1.Toleration~
policy/v1.Eviction 1:metadata:Mmeta.ObjectMeta~ 2:deleteOptions:Mmeta.DeleteOptions?~
policy/v1.PodDisruptionBudget 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mpolicy/v1.PodDisruptionBudgetSpec~ 3:status:Mpolicy/v1.PodDisruptionBudgetStatus~
policy/v1.PodDisruptionBudgetList 1:metadata:Mmeta.ListMeta~ 2:items:*Mpolicy/v1.PodDisruptionBudget
policy/v1.PodDisruptionBudgetSpec 1:minAvailable:I?~ 2:selector:Mmeta.LabelSelector?~ 3:maxUnavailable:I?~ 4:unhealthyPodEvictionPolicy:s?~
policy/v1.PodDisruptionBudgetStatus 1:observedGeneration:i~ 2:disruptedPods:%T~ 3:disruptionsAllowed:i 4:currentHealthy:i 5:desiredHealthy:i 6:expectedPods:i 7:conditions:*Mmeta.Condition~
rbac.authorization.k8s.io/v1.AggregationRule 1:clusterRoleSelectors:*Mmeta.LabelSelector~
rbac.authorization.k8s.io/v1.ClusterRole 1:metadata:Mmeta.ObjectMeta~ 2:rules:*Mrbac.authorization.k8s.io/v1.PolicyRule 3:aggregationRule:Mrbac.authorization.k8s.io/v1.AggregationRule?~
rbac.authorization.k8s.io/v1.ClusterRoleBinding 1:metadata:Mmeta.ObjectMeta~ 2:subjects:*Mrbac.authorization.k8s.io/v1.Subject~ 3:roleRef:Mrbac.authorization.k8s.io/v1.RoleRef
rbac.authorization.k8s.io/v1.ClusterRoleBindingList 1:metadata:Mmeta.ListMeta~ 2:items:*Mrbac.authorization.k8s.io/v1.ClusterRoleBinding
rbac.authorization.k8s.io/v1.ClusterRoleList 1:metadata:Mmeta.ListMeta~ 2:items:*Mrbac.authorization.k8s.io/v1.ClusterRole
rbac.authorization.k8s.io/v1.PolicyRule 1:verbs:*s 2:apiGroups:*s~ 3:resources:*s~ 4:resourceNames:*s~ 5:nonResourceURLs:*s~
rbac.authorization.k8s.io/v1.Role 1:metadata:Mmeta.ObjectMeta~ 2:rules:*Mrbac.authorization.k8s.io/v1.PolicyRule
rbac.authorization.k8s.io/v1.RoleBinding 1:metadata:Mmeta.ObjectMeta~ 2:subjects:*Mrbac.authorization.k8s.io/v1.Subject~ 3:roleRef:Mrbac.authorization.k8s.io/v1.RoleRef
rbac.authorization.k8s.io/v1.RoleBindingList 1:metadata:Mmeta.ListMeta~ 2:items:*Mrbac.authorization.k8s.io/v1.RoleBinding
rbac.authorization.k8s.io/v1.RoleList 1:metadata:Mmeta.ListMeta~ 2:items:*Mrbac.authorization.k8s.io/v1.Role
rbac.authorization.k8s.io/v1.RoleRef 1:apiGroup:s 2:kind:s 3:name:s
rbac.authorization.k8s.io/v1.Subject 1:kind:s 2:apiGroup:s~ 3:name:s 4:namespace:s~
resource.k8s.io/v1.AllocatedDeviceStatus 1:driver:s 2:pool:s 3:device:s 7:shareID:s?~ 4:conditions:*Mmeta.Condition 5:data:R?~ 6:networkData:Mresource.k8s.io/v1.NetworkDeviceData?~
resource.k8s.io/v1.AllocationResult 1:devices:Mresource.k8s.io/v1.DeviceAllocationResult~ 3:nodeSelector:Mv1.NodeSelector?~ 5:allocationTimestamp:T?~
resource.k8s.io/v1.CELDeviceSelector 1:expression:s
resource.k8s.io/v1.CapacityRequestPolicy 1:default:Q? 3:validValues:*Q~ 4:validRange:Mresource.k8s.io/v1.CapacityRequestPolicyRange?~
resource.k8s.io/v1.CapacityRequestPolicyRange 1:min:Q?~ 2:max:Q?~ 3:step:Q?~
resource.k8s.io/v1.CapacityRequirements 1:requests:%Q~
resource.k8s.io/v1.Counter 1:value:Q
resource.k8s.io/v1.CounterSet 1:name:s 2:counters:%Mresource.k8s.io/v1.Counter~
resource.k8s.io/v1.Device 1:name:s 2:attributes:%Mresource.k8s.io/v1.DeviceAttribute~ 3:capacity:%Mresource.k8s.io/v1.DeviceCapacity~ 4:consumesCounters:*Mresource.k8s.io/v1.DeviceCounterConsumption~ 5:nodeName:s?~ 6:nodeSelector:Mv1.NodeSelector?~ 7:allNodes:b?~ 8:taints:*Mresource.k8s.io/v1.DeviceTaint~ 9:bindsToNode:b?~ 10:bindingConditions:*s~ 11:bindingFailureConditions:*s~ 12:allowMultipleAllocations:b?~ 13:nodeAllocatableResourceMappings:%Mresource.k8s.io/v1.NodeAllocatableResourceMapping~
resource.k8s.io/v1.DeviceAllocationConfiguration 1:source:s 2:requests:*s~ 3:.:Mresource.k8s.io/v1.DeviceConfiguration
resource.k8s.io/v1.DeviceAllocationResult 1:results:*Mresource.k8s.io/v1.DeviceRequestAllocationResult~ 2:config:*Mresource.k8s.io/v1.DeviceAllocationConfiguration~
resource.k8s.io/v1.DeviceAttribute 2:int:i?~ 3:bool:b?~ 4:string:s?~ 5:version:s?~ 6:ints:*i~ 7:bools:*b~ 8:strings:*s~ 9:versions:*s~
resource.k8s.io/v1.DeviceCapacity 1:value:Q 2:requestPolicy:Mresource.k8s.io/v1.CapacityRequestPolicy?~
resource.k8s.io/v1.DeviceClaim 1:requests:*Mresource.k8s.io/v1.DeviceRequest 2:constraints:*Mresource.k8s.io/v1.DeviceConstraint~ 3:config:*Mresource.k8s.io/v1.DeviceClaimConfiguration~
resource.k8s.io/v1.DeviceClaimConfiguration 1:requests:*s~ 2:.:Mresource.k8s.io/v1.DeviceConfiguration
resource.k8s.io/v1.DeviceClass 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mresource.k8s.io/v1.DeviceClassSpec
resource.k8s.io/v1.DeviceClassConfiguration 1:.:Mresource.k8s.io/v1.DeviceConfiguration
resource.k8s.io/v1.DeviceClassList 1:metadata:Mmeta.ListMeta~ 2:items:*Mresource.k8s.io/v1.DeviceClass
resource.k8s.io/v1.DeviceClassSpec 1:selectors:*Mresource.k8s.io/v1.DeviceSelector~ 2:config:*Mresource.k8s.io/v1.DeviceClassConfiguration~ 4:extendedResourceName:s?~
resource.k8s.io/v1.DeviceConfiguration 1:opaque:Mresource.k8s.io/v1.OpaqueDeviceConfiguration?~
resource.k8s.io/v1.DeviceConstraint 1:requests:*s~ 2:matchAttribute:s?~ 3:distinctAttribute:s?~
resource.k8s.io/v1.DeviceCounterConsumption 1:counterSet:s 2:counters:%Mresource.k8s.io/v1.Counter~
resource.k8s.io/v1.DeviceRequest 1:name:s 2:exactly:Mresource.k8s.io/v1.ExactDeviceRequest?~ 3:firstAvailable:*Mresource.k8s.io/v1.DeviceSubRequest~
resource.k8s.io/v1.DeviceRequestAllocationResult 1:request:s 2:driver:s 3:pool:s 4:device:s 5:adminAccess:b?~ 6:tolerations:*Mresource.k8s.io/v1.DeviceToleration~ 7:bindingConditions:*s~ 8:bindingFailureConditions:*s~ 9:shareID:s?~ 10:consumedCapacity:%Q~
resource.k8s.io/v1.DeviceSelector 1:cel:Mresource.k8s.io/v1.CELDeviceSelector?~
resource.k8s.io/v1.DeviceSubRequest 1:name:s 2:deviceClassName:s 3:selectors:*Mresource.k8s.io/v1.DeviceSelector~ 4:allocationMode:s~ 5:count:i~ 6:tolerations:*Mresource.k8s.io/v1.DeviceToleration~ 7:capacity:Mresource.k8s.io/v1.CapacityRequirements?~
resource.k8s.io/v1.DeviceTaint 1:key:s 2:value:s~ 3:effect:s 4:timeAdded:T?~
resource.k8s.io/v1.DeviceToleration 1:key:s~ 2:operator:s~ 3:value:s~ 4:effect:s~ 5:tolerationSeconds:i?~
resource.k8s.io/v1.ExactDeviceRequest 1:deviceClassName:s 2:selectors:*Mresource.k8s.io/v1.DeviceSelector~ 3:allocationMode:s~ 4:count:i~ 5:adminAccess:b?~ 6:tolerations:*Mresource.k8s.io/v1.DeviceToleration~ 7:capacity:Mresource.k8s.io/v1.CapacityRequirements?~
resource.k8s.io/v1.NetworkDeviceData 1:interfaceName:s~ 2:ips:*s~ 3:hardwareAddress:s~
resource.k8s.io/v1.NodeAllocatableResourceMapping 1:capacityKey:s?~ 2:allocationMultiplier:Q?~
resource.k8s.io/v1.OpaqueDeviceConfiguration 1:driver:s 2:parameters:R
resource.k8s.io/v1.ResourceClaim 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mresource.k8s.io/v1.ResourceClaimSpec 3:status:Mresource.k8s.io/v1.ResourceClaimStatus~
resource.k8s.io/v1.ResourceClaimConsumerReference 1:apiGroup:s~ 3:resource:s 4:name:s 5:uid:s
resource.k8s.io/v1.ResourceClaimList 1:metadata:Mmeta.ListMeta~ 2:items:*Mresource.k8s.io/v1.ResourceClaim
resource.k8s.io/v1.ResourceClaimSpec 1:devices:Mresource.k8s.io/v1.DeviceClaim
resource.k8s.io/v1.ResourceClaimStatus 1:allocation:Mresource.k8s.io/v1.AllocationResult?~ 2:reservedFor:*Mresource.k8s.io/v1.ResourceClaimConsumerReference~ 4:devices:*Mresource.k8s.io/v1.AllocatedDeviceStatus~
resource.k8s.io/v1.ResourceClaimTemplate 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mresource.k8s.io/v1.ResourceClaimTemplateSpec
resource.k8s.io/v1.ResourceClaimTemplateList 1:metadata:Mmeta.ListMeta~ 2:items:*Mresource.k8s.io/v1.ResourceClaimTemplate
resource.k8s.io/v1.ResourceClaimTemplateSpec 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mresource.k8s.io/v1.ResourceClaimSpec
resource.k8s.io/v1.ResourcePool 1:name:s 2:generation:i 3:resourceSliceCount:i
resource.k8s.io/v1.ResourceSlice 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mresource.k8s.io/v1.ResourceSliceSpec
resource.k8s.io/v1.ResourceSliceList 1:metadata:Mmeta.ListMeta~ 2:items:*Mresource.k8s.io/v1.ResourceSlice
resource.k8s.io/v1.ResourceSliceSpec 1:driver:s 2:pool:Mresource.k8s.io/v1.ResourcePool 3:nodeName:s?~ 4:nodeSelector:Mv1.NodeSelector?~ 5:allNodes:b?~ 6:devices:*Mresource.k8s.io/v1.Device~ 7:perDeviceNodeSelection:b?~ 8:sharedCounters:*Mresource.k8s.io/v1.CounterSet~
scheduling.k8s.io/v1.PriorityClass 1:metadata:Mmeta.ObjectMeta~ 2:value:i 3:globalDefault:b~ 4:description:s~ 5:preemptionPolicy:s?~
scheduling.k8s.io/v1.PriorityClassList 1:metadata:Mmeta.ListMeta~ 2:items:*Mscheduling.k8s.io/v1.PriorityClass
storage.k8s.io/v1.CSIDriver 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mstorage.k8s.io/v1.CSIDriverSpec
storage.k8s.io/v1.CSIDriverList 1:metadata:Mmeta.ListMeta~ 2:items:*Mstorage.k8s.io/v1.CSIDriver
storage.k8s.io/v1.CSIDriverSpec 1:attachRequired:b?~ 2:podInfoOnMount:b?~ 3:volumeLifecycleModes:*s~ 4:storageCapacity:b?~ 5:fsGroupPolicy:s?~ 6:tokenRequests:*Mstorage.k8s.io/v1.TokenRequest~ 7:requiresRepublish:b?~ 8:seLinuxMount:b?~ 9:nodeAllocatableUpdatePeriodSeconds:i?~ 10:serviceAccountTokenInSecrets:b?~ 11:preventPodSchedulingIfMissing:b?~
storage.k8s.io/v1.CSINode 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mstorage.k8s.io/v1.CSINodeSpec
storage.k8s.io/v1.CSINodeDriver 1:name:s 2:nodeID:s 3:topologyKeys:*s 4:allocatable:Mstorage.k8s.io/v1.VolumeNodeResources?~
storage.k8s.io/v1.CSINodeList 1:metadata:Mmeta.ListMeta~ 2:items:*Mstorage.k8s.io/v1.CSINode
storage.k8s.io/v1.CSINodeSpec 1:drivers:*Mstorage.k8s.io/v1.CSINodeDriver
storage.k8s.io/v1.CSIStorageCapacity 1:metadata:Mmeta.ObjectMeta~ 2:nodeTopology:Mmeta.LabelSelector?~ 3:storageClassName:s 4:capacity:Q?~ 5:maximumVolumeSize:Q?~
storage.k8s.io/v1.CSIStorageCapacityList 1:metadata:Mmeta.ListMeta~ 2:items:*Mstorage.k8s.io/v1.CSIStorageCapacity
storage.k8s.io/v1.StorageClass 1:metadata:Mmeta.ObjectMeta~ 2:provisioner:s 3:parameters:%s~ 4:reclaimPolicy:s?~ 5:mountOptions:*s~ 6:allowVolumeExpansion:b?~ 7:volumeBindingMode:s?~ 8:allowedTopologies:*Mv1.TopologySelectorTerm~
storage.k8s.io/v1.StorageClassList 1:metadata:Mmeta.ListMeta~ 2:items:*Mstorage.k8s.io/v1.StorageClass
storage.k8s.io/v1.TokenRequest 1:audience:s 2:expirationSeconds:i?~
storage.k8s.io/v1.VolumeAttachment 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mstorage.k8s.io/v1.VolumeAttachmentSpec 3:status:Mstorage.k8s.io/v1.VolumeAttachmentStatus~
storage.k8s.io/v1.VolumeAttachmentList 1:metadata:Mmeta.ListMeta~ 2:items:*Mstorage.k8s.io/v1.VolumeAttachment
storage.k8s.io/v1.VolumeAttachmentSource 1:persistentVolumeName:s?~ 2:inlineVolumeSpec:Mv1.PersistentVolumeSpec?~
storage.k8s.io/v1.VolumeAttachmentSpec 1:attacher:s 2:source:Mstorage.k8s.io/v1.VolumeAttachmentSource 3:nodeName:s
storage.k8s.io/v1.VolumeAttachmentStatus 1:attached:b 2:attachmentMetadata:%s~ 3:attachError:Mstorage.k8s.io/v1.VolumeError?~ 4:detachError:Mstorage.k8s.io/v1.VolumeError?~
storage.k8s.io/v1.VolumeAttributesClass 1:metadata:Mmeta.ObjectMeta~ 2:driverName:s 3:parameters:%s~
storage.k8s.io/v1.VolumeAttributesClassList 1:metadata:Mmeta.ListMeta~ 2:items:*Mstorage.k8s.io/v1.VolumeAttributesClass
storage.k8s.io/v1.VolumeError 1:time:T~ 2:message:s~ 3:errorCode:i?~
storage.k8s.io/v1.VolumeNodeResources 1:count:i?~
v1.AWSElasticBlockStoreVolumeSource 1:volumeID:s 2:fsType:s~ 3:partition:i~ 4:readOnly:b~
v1.Affinity 1:nodeAffinity:Mv1.NodeAffinity?~ 2:podAffinity:Mv1.PodAffinity?~ 3:podAntiAffinity:Mv1.PodAntiAffinity?~
v1.AppArmorProfile 1:type:s 2:localhostProfile:s?~
v1.AttachedVolume 1:name:s 2:devicePath:s
v1.AvoidPods 1:preferAvoidPods:*Mv1.PreferAvoidPodsEntry~
v1.AzureDiskVolumeSource 1:diskName:s 2:diskURI:s 3:cachingMode:s?~ 4:fsType:s?~ 5:readOnly:b?~ 6:kind:s?~
v1.AzureFilePersistentVolumeSource 1:secretName:s 2:shareName:s 3:readOnly:b~ 4:secretNamespace:s?
v1.AzureFileVolumeSource 1:secretName:s 2:shareName:s 3:readOnly:b~
v1.Binding 1:metadata:Mmeta.ObjectMeta~ 2:target:Mv1.ObjectReference
v1.CSIPersistentVolumeSource 1:driver:s 2:volumeHandle:s 3:readOnly:b~ 4:fsType:s~ 5:volumeAttributes:%s~ 6:controllerPublishSecretRef:Mv1.SecretReference?~ 7:nodeStageSecretRef:Mv1.SecretReference?~ 8:nodePublishSecretRef:Mv1.SecretReference?~ 9:controllerExpandSecretRef:Mv1.SecretReference?~ 10:nodeExpandSecretRef:Mv1.SecretReference?~
v1.CSIVolumeSource 1:driver:s 2:readOnly:b?~ 3:fsType:s?~ 4:volumeAttributes:%s~ 5:nodePublishSecretRef:Mv1.LocalObjectReference?~
v1.Capabilities 1:add:*s~ 2:drop:*s~
v1.CephFSPersistentVolumeSource 1:monitors:*s 2:path:s~ 3:user:s~ 4:secretFile:s~ 5:secretRef:Mv1.SecretReference?~ 6:readOnly:b~
v1.CephFSVolumeSource 1:monitors:*s 2:path:s~ 3:user:s~ 4:secretFile:s~ 5:secretRef:Mv1.LocalObjectReference?~ 6:readOnly:b~
v1.CinderPersistentVolumeSource 1:volumeID:s 2:fsType:s~ 3:readOnly:b~ 4:secretRef:Mv1.SecretReference?~
v1.CinderVolumeSource 1:volumeID:s 2:fsType:s~ 3:readOnly:b~ 4:secretRef:Mv1.LocalObjectReference?~
v1.ClientIPConfig 1:timeoutSeconds:i?~
v1.ClusterTrustBundleProjection 1:name:s?~ 2:signerName:s?~ 3:labelSelector:Mmeta.LabelSelector?~ 5:optional:b?~ 4:path:s
v1.ComponentCondition 1:type:s 2:status:s 3:message:s~ 4:error:s~
v1.ComponentStatus 1:metadata:Mmeta.ObjectMeta~ 2:conditions:*Mv1.ComponentCondition~
v1.ComponentStatusList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.ComponentStatus
v1.ConfigMap 1:metadata:Mmeta.ObjectMeta~ 4:immutable:b?~ 2:data:%s~ 3:binaryData:%y~
v1.ConfigMapEnvSource 1:.:Mv1.LocalObjectReference 2:optional:b?~
v1.ConfigMapKeySelector 1:.:Mv1.LocalObjectReference 2:key:s 3:optional:b?~
v1.ConfigMapList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.ConfigMap
v1.ConfigMapNodeConfigSource 1:namespace:s 2:name:s 3:uid:s~ 4:resourceVersion:s~ 5:kubeletConfigKey:s
v1.ConfigMapProjection 1:.:Mv1.LocalObjectReference 2:items:*Mv1.KeyToPath~ 4:optional:b?~
v1.ConfigMapVolumeSource 1:.:Mv1.LocalObjectReference 2:items:*Mv1.KeyToPath~ 3:defaultMode:i?~ 4:optional:b?~
v1.Container 1:name:s 2:image:s~ 3:command:*s~ 4:args:*s~ 5:workingDir:s~ 6:ports:*Mv1.ContainerPort~ 19:envFrom:*Mv1.EnvFromSource~ 7:env:*Mv1.EnvVar~ 8:resources:Mv1.ResourceRequirements~ 23:resizePolicy:*Mv1.ContainerResizePolicy~ 24:restartPolicy:s?~ 25:restartPolicyRules:*Mv1.ContainerRestartRule~ 9:volumeMounts:*Mv1.VolumeMount~ 21:volumeDevices:*Mv1.VolumeDevice~ 10:livenessProbe:Mv1.Probe?~ 11:readinessProbe:Mv1.Probe?~ 22:startupProbe:Mv1.Probe?~ 12:lifecycle:Mv1.Lifecycle?~ 13:terminationMessagePath:s~ 20:terminationMessagePolicy:s~ 14:imagePullPolicy:s~ 15:securityContext:Mv1.SecurityContext?~ 16:stdin:b~ 17:stdinOnce:b~ 18:tty:b~
v1.ContainerExtendedResourceRequest 1:containerName:s 2:resourceName:s 3:requestName:s
v1.ContainerImage 1:names:*s 2:sizeBytes:i~
v1.ContainerPort 1:name:s~ 2:hostPort:i~ 3:containerPort:i 4:protocol:s~ 5:hostIP:s~
v1.ContainerResizePolicy 1:resourceName:s 2:restartPolicy:s
v1.ContainerRestartRule 1:action:s~ 2:exitCodes:Mv1.ContainerRestartRuleOnExitCodes?~
v1.ContainerRestartRuleOnExitCodes 1:operator:s~ 2:values:*i~
v1.ContainerState 1:waiting:Mv1.ContainerStateWaiting?~ 2:running:Mv1.ContainerStateRunning?~ 3:terminated:Mv1.ContainerStateTerminated?~
v1.ContainerStateRunning 1:startedAt:T~
v1.ContainerStateTerminated 1:exitCode:i 2:signal:i~ 3:reason:s~ 4:message:s~ 5:startedAt:T~ 6:finishedAt:T~ 7:containerID:s~
v1.ContainerStateWaiting 1:reason:s~ 2:message:s~
v1.ContainerStatus 1:name:s 2:state:Mv1.ContainerState~ 3:lastState:Mv1.ContainerState~ 4:ready:b 5:restartCount:i 6:image:s 7:imageID:s 8:containerID:s~ 9:started:b?~ 10:allocatedResources:%Q~ 11:resources:Mv1.ResourceRequirements?~ 12:volumeMounts:*Mv1.VolumeMountStatus~ 13:user:Mv1.ContainerUser?~ 14:allocatedResourcesStatus:*Mv1.ResourceStatus~ 15:stopSignal:s?~
v1.ContainerUser 1:linux:Mv1.LinuxContainerUser?~
v1.DaemonEndpoint 1:Port:i
v1.DownwardAPIProjection 1:items:*Mv1.DownwardAPIVolumeFile~
v1.DownwardAPIVolumeFile 1:path:s 2:fieldRef:Mv1.ObjectFieldSelector?~ 3:resourceFieldRef:Mv1.ResourceFieldSelector?~ 4:mode:i?~
v1.DownwardAPIVolumeSource 1:items:*Mv1.DownwardAPIVolumeFile~ 2:defaultMode:i?~
v1.EmptyDirVolumeSource 1:medium:s~ 2:sizeLimit:Q?~
v1.EndpointAddress 1:ip:s 3:hostname:s~ 4:nodeName:s?~ 2:targetRef:Mv1.ObjectReference?~
v1.EndpointPort 1:name:s~ 2:port:i 3:protocol:s~ 4:appProtocol:s?~
v1.EndpointSubset 1:addresses:*Mv1.EndpointAddress~ 2:notReadyAddresses:*Mv1.EndpointAddress~ 3:ports:*Mv1.EndpointPort~
v1.Endpoints 1:metadata:Mmeta.ObjectMeta~ 2:subsets:*Mv1.EndpointSubset~
v1.EndpointsList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.Endpoints
v1.EnvFromSource 1:prefix:s~ 2:configMapRef:Mv1.ConfigMapEnvSource?~ 3:secretRef:Mv1.SecretEnvSource?~
v1.EnvVar 1:name:s 2:value:s~ 3:valueFrom:Mv1.EnvVarSource?~
v1.EnvVarSource 1:fieldRef:Mv1.ObjectFieldSelector?~ 2:resourceFieldRef:Mv1.ResourceFieldSelector?~ 3:configMapKeyRef:Mv1.ConfigMapKeySelector?~ 4:secretKeyRef:Mv1.SecretKeySelector?~ 5:fileKeyRef:Mv1.FileKeySelector?~
v1.EphemeralContainer 1:.:Mv1.EphemeralContainerCommon 2:targetContainerName:s~
v1.EphemeralContainerCommon 1:name:s 2:image:s~ 3:command:*s~ 4:args:*s~ 5:workingDir:s~ 6:ports:*Mv1.ContainerPort~ 19:envFrom:*Mv1.EnvFromSource~ 7:env:*Mv1.EnvVar~ 8:resources:Mv1.ResourceRequirements~ 23:resizePolicy:*Mv1.ContainerResizePolicy~ 24:restartPolicy:s?~ 25:restartPolicyRules:*Mv1.ContainerRestartRule~ 9:volumeMounts:*Mv1.VolumeMount~ 21:volumeDevices:*Mv1.VolumeDevice~ 10:livenessProbe:Mv1.Probe?~ 11:readinessProbe:Mv1.Probe?~ 22:startupProbe:Mv1.Probe?~ 12:lifecycle:Mv1.Lifecycle?~ 13:terminationMessagePath:s~ 20:terminationMessagePolicy:s~ 14:imagePullPolicy:s~ 15:securityContext:Mv1.SecurityContext?~ 16:stdin:b~ 17:stdinOnce:b~ 18:tty:b~
v1.EphemeralVolumeSource 1:volumeClaimTemplate:Mv1.PersistentVolumeClaimTemplate?~
v1.Event 1:metadata:Mmeta.ObjectMeta 2:involvedObject:Mv1.ObjectReference 3:reason:s~ 4:message:s~ 5:source:Mv1.EventSource~ 6:firstTimestamp:T~ 7:lastTimestamp:T~ 8:count:i~ 9:type:s~ 10:eventTime:U~ 11:series:Mv1.EventSeries?~ 12:action:s~ 13:related:Mv1.ObjectReference?~ 14:reportingComponent:s 15:reportingInstance:s
v1.EventList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.Event
v1.EventSeries 1:count:i~ 2:lastObservedTime:U~
v1.EventSource 1:component:s~ 2:host:s~
v1.ExecAction 1:command:*s~
v1.FCVolumeSource 1:targetWWNs:*s~ 2:lun:i?~ 3:fsType:s~ 4:readOnly:b~ 5:wwids:*s~
v1.FileKeySelector 1:volumeName:s 2:path:s 3:key:s 4:optional:b?~
v1.FlexPersistentVolumeSource 1:driver:s 2:fsType:s~ 3:secretRef:Mv1.SecretReference?~ 4:readOnly:b~ 5:options:%s~
v1.FlexVolumeSource 1:driver:s 2:fsType:s~ 3:secretRef:Mv1.LocalObjectReference?~ 4:readOnly:b~ 5:options:%s~
v1.FlockerVolumeSource 1:datasetName:s~ 2:datasetUUID:s~
v1.GCEPersistentDiskVolumeSource 1:pdName:s 2:fsType:s~ 3:partition:i~ 4:readOnly:b~
v1.GRPCAction 1:port:i 2:service:s?
v1.GitRepoVolumeSource 1:repository:s 2:revision:s~ 3:directory:s~
v1.GlusterfsPersistentVolumeSource 1:endpoints:s 2:path:s 3:readOnly:b~ 4:endpointsNamespace:s?~
v1.GlusterfsVolumeSource 1:endpoints:s 2:path:s 3:readOnly:b~
v1.HTTPGetAction 1:path:s~ 2:port:I 3:host:s~ 4:scheme:s~ 5:httpHeaders:*Mv1.HTTPHeader~
v1.HTTPHeader 1:name:s 2:value:s
v1.HostAlias 1:ip:s 2:hostnames:*s~
v1.HostIP 1:ip:s
v1.HostPathVolumeSource 1:path:s 2:type:s?~
v1.ISCSIPersistentVolumeSource 1:targetPortal:s 2:iqn:s 3:lun:i 4:iscsiInterface:s~ 5:fsType:s~ 6:readOnly:b~ 7:portals:*s~ 8:chapAuthDiscovery:b~ 11:chapAuthSession:b~ 10:secretRef:Mv1.SecretReference?~ 12:initiatorName:s?~
v1.ISCSIVolumeSource 1:targetPortal:s 2:iqn:s 3:lun:i 4:iscsiInterface:s~ 5:fsType:s~ 6:readOnly:b~ 7:portals:*s~ 8:chapAuthDiscovery:b~ 11:chapAuthSession:b~ 10:secretRef:Mv1.LocalObjectReference?~ 12:initiatorName:s?~
v1.ImageVolumeSource 1:reference:s~ 2:pullPolicy:s~
v1.ImageVolumeStatus 1:imageRef:s~
v1.KeyToPath 1:key:s 2:path:s 3:mode:i?~
v1.Lifecycle 1:postStart:Mv1.LifecycleHandler?~ 2:preStop:Mv1.LifecycleHandler?~ 3:stopSignal:s?~
v1.LifecycleHandler 1:exec:Mv1.ExecAction?~ 2:httpGet:Mv1.HTTPGetAction?~ 3:tcpSocket:Mv1.TCPSocketAction?~ 4:sleep:Mv1.SleepAction?~
v1.LimitRange 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.LimitRangeSpec~
v1.LimitRangeItem 1:type:s 2:max:%Q~ 3:min:%Q~ 4:default:%Q~ 5:defaultRequest:%Q~ 6:maxLimitRequestRatio:%Q~
v1.LimitRangeList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.LimitRange
v1.LimitRangeSpec 1:limits:*Mv1.LimitRangeItem
v1.LinuxContainerUser 1:uid:i 2:gid:i 3:supplementalGroups:*i~
v1.LoadBalancerIngress 1:ip:s~ 2:hostname:s~ 3:ipMode:s?~ 4:ports:*Mv1.PortStatus~
v1.LoadBalancerStatus 1:ingress:*Mv1.LoadBalancerIngress~
v1.LocalObjectReference 1:name:s~
v1.LocalVolumeSource 1:path:s 2:fsType:s?~
v1.ModifyVolumeStatus 1:targetVolumeAttributesClassName:s~ 2:status:s
v1.NFSVolumeSource 1:server:s 2:path:s 3:readOnly:b~
v1.Namespace 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.NamespaceSpec~ 3:status:Mv1.NamespaceStatus~
v1.NamespaceCondition 1:type:s 2:status:s 4:lastTransitionTime:T~ 5:reason:s~ 6:message:s~
v1.NamespaceList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.Namespace
v1.NamespaceSpec 1:finalizers:*s~
v1.NamespaceStatus 1:phase:s~ 2:conditions:*Mv1.NamespaceCondition~
v1.Node 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.NodeSpec~ 3:status:Mv1.NodeStatus~
v1.NodeAddress 1:type:s 2:address:s
v1.NodeAffinity 1:requiredDuringSchedulingIgnoredDuringExecution:Mv1.NodeSelector?~ 2:preferredDuringSchedulingIgnoredDuringExecution:*Mv1.PreferredSchedulingTerm~
v1.NodeAllocatableResourceClaimStatus 1:resourceClaimName:s 2:containers:*s~ 3:resources:%Q
v1.NodeCondition 1:type:s 2:status:s 3:lastHeartbeatTime:T~ 4:lastTransitionTime:T~ 5:reason:s~ 6:message:s~
v1.NodeConfigSource 2:configMap:Mv1.ConfigMapNodeConfigSource?~
v1.NodeConfigStatus 1:assigned:Mv1.NodeConfigSource?~ 2:active:Mv1.NodeConfigSource?~ 3:lastKnownGood:Mv1.NodeConfigSource?~ 4:error:s~
v1.NodeDaemonEndpoints 1:kubeletEndpoint:Mv1.DaemonEndpoint~
v1.NodeFeatures 1:supplementalGroupsPolicy:b?~
v1.NodeList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.Node
v1.NodeProxyOptions 1:path:s~
v1.NodeRuntimeHandler 1:name:s 2:features:Mv1.NodeRuntimeHandlerFeatures?~
v1.NodeRuntimeHandlerFeatures 1:recursiveReadOnlyMounts:b?~ 2:userNamespaces:b?~
v1.NodeSelector 1:nodeSelectorTerms:*Mv1.NodeSelectorTerm
v1.NodeSelectorRequirement 1:key:s 2:operator:s 3:values:*s~
v1.NodeSelectorTerm 1:matchExpressions:*Mv1.NodeSelectorRequirement~ 2:matchFields:*Mv1.NodeSelectorRequirement~
v1.NodeSpec 1:podCIDR:s~ 7:podCIDRs:*s~ 3:providerID:s~ 4:unschedulable:b~ 5:taints:*Mv1.Taint~ 6:configSource:Mv1.NodeConfigSource?~ 2:externalID:s~
v1.NodeStatus 1:capacity:%Q~ 2:allocatable:%Q~ 3:phase:s~ 4:conditions:*Mv1.NodeCondition~ 5:addresses:*Mv1.NodeAddress~ 6:daemonEndpoints:Mv1.NodeDaemonEndpoints~ 7:nodeInfo:Mv1.NodeSystemInfo~ 8:images:*Mv1.ContainerImage~ 9:volumesInUse:*s~ 10:volumesAttached:*Mv1.AttachedVolume~ 11:config:Mv1.NodeConfigStatus?~ 12:runtimeHandlers:*Mv1.NodeRuntimeHandler~ 13:features:Mv1.NodeFeatures?~ 14:declaredFeatures:*s~
v1.NodeSwapStatus 1:capacity:i?~
v1.NodeSystemInfo 1:machineID:s 2:systemUUID:s 3:bootID:s 4:kernelVersion:s 5:osImage:s 6:containerRuntimeVersion:s 7:kubeletVersion:s 8:kubeProxyVersion:s 9:operatingSystem:s 10:architecture:s 11:swap:Mv1.NodeSwapStatus?~
v1.ObjectFieldSelector 1:apiVersion:s~ 2:fieldPath:s
v1.ObjectReference 1:kind:s~ 2:namespace:s~ 3:name:s~ 4:uid:s~ 5:apiVersion:s~ 6:resourceVersion:s~ 7:fieldPath:s~
v1.PersistentVolume 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.PersistentVolumeSpec~ 3:status:Mv1.PersistentVolumeStatus~
v1.PersistentVolumeClaim 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.PersistentVolumeClaimSpec~ 3:status:Mv1.PersistentVolumeClaimStatus~
v1.PersistentVolumeClaimCondition 1:type:s 2:status:s 3:lastProbeTime:T~ 4:lastTransitionTime:T~ 5:reason:s~ 6:message:s~
v1.PersistentVolumeClaimList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.PersistentVolumeClaim
v1.PersistentVolumeClaimSpec 1:accessModes:*s~ 4:selector:Mmeta.LabelSelector?~ 2:resources:Mv1.VolumeResourceRequirements~ 3:volumeName:s~ 5:storageClassName:s?~ 6:volumeMode:s?~ 7:dataSource:Mv1.TypedLocalObjectReference?~ 8:dataSourceRef:Mv1.TypedObjectReference?~ 9:volumeAttributesClassName:s?~
v1.PersistentVolumeClaimStatus 1:phase:s~ 2:accessModes:*s~ 3:capacity:%Q~ 4:conditions:*Mv1.PersistentVolumeClaimCondition~ 5:allocatedResources:%Q~ 7:allocatedResourceStatuses:%s~ 8:currentVolumeAttributesClassName:s?~ 9:modifyVolumeStatus:Mv1.ModifyVolumeStatus?~
v1.PersistentVolumeClaimTemplate 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.PersistentVolumeClaimSpec
v1.PersistentVolumeClaimVolumeSource 1:claimName:s 2:readOnly:b~
v1.PersistentVolumeList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.PersistentVolume
v1.PersistentVolumeSource 1:gcePersistentDisk:Mv1.GCEPersistentDiskVolumeSource?~ 2:awsElasticBlockStore:Mv1.AWSElasticBlockStoreVolumeSource?~ 3:hostPath:Mv1.HostPathVolumeSource?~ 4:glusterfs:Mv1.GlusterfsPersistentVolumeSource?~ 5:nfs:Mv1.NFSVolumeSource?~ 6:rbd:Mv1.RBDPersistentVolumeSource?~ 7:iscsi:Mv1.ISCSIPersistentVolumeSource?~ 8:cinder:Mv1.CinderPersistentVolumeSource?~ 9:cephfs:Mv1.CephFSPersistentVolumeSource?~ 10:fc:Mv1.FCVolumeSource?~ 11:flocker:Mv1.FlockerVolumeSource?~ 12:flexVolume:Mv1.FlexPersistentVolumeSource?~ 13:azureFile:Mv1.AzureFilePersistentVolumeSource?~ 14:vsphereVolume:Mv1.VsphereVirtualDiskVolumeSource?~ 15:quobyte:Mv1.QuobyteVolumeSource?~ 16:azureDisk:Mv1.AzureDiskVolumeSource?~ 17:photonPersistentDisk:Mv1.PhotonPersistentDiskVolumeSource?~ 18:portworxVolume:Mv1.PortworxVolumeSource?~ 19:scaleIO:Mv1.ScaleIOPersistentVolumeSource?~ 20:local:Mv1.LocalVolumeSource?~ 21:storageos:Mv1.StorageOSPersistentVolumeSource?~ 22:csi:Mv1.CSIPersistentVolumeSource?~
v1.PersistentVolumeSpec 1:capacity:%Q~ 2:.:Mv1.PersistentVolumeSource 3:accessModes:*s~ 4:claimRef:Mv1.ObjectReference?~ 5:persistentVolumeReclaimPolicy:s~ 6:storageClassName:s~ 7:mountOptions:*s~ 8:volumeMode:s?~ 9:nodeAffinity:Mv1.VolumeNodeAffinity?~ 10:volumeAttributesClassName:s?~
v1.PersistentVolumeStatus 1:phase:s~ 2:message:s~ 3:reason:s~ 4:lastPhaseTransitionTime:T?~
v1.PhotonPersistentDiskVolumeSource 1:pdID:s 2:fsType:s~
v1.Pod 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.PodSpec~ 3:status:Mv1.PodStatus~
v1.PodAffinity 1:requiredDuringSchedulingIgnoredDuringExecution:*Mv1.PodAffinityTerm~ 2:preferredDuringSchedulingIgnoredDuringExecution:*Mv1.WeightedPodAffinityTerm~
v1.PodAffinityTerm 1:labelSelector:Mmeta.LabelSelector?~ 2:namespaces:*s~ 3:topologyKey:s 4:namespaceSelector:Mmeta.LabelSelector?~ 5:matchLabelKeys:*s~ 6:mismatchLabelKeys:*s~
v1.PodAntiAffinity 1:requiredDuringSchedulingIgnoredDuringExecution:*Mv1.PodAffinityTerm~ 2:preferredDuringSchedulingIgnoredDuringExecution:*Mv1.WeightedPodAffinityTerm~
v1.PodAttachOptions 1:stdin:b~ 2:stdout:b~ 3:stderr:b~ 4:tty:b~ 5:container:s~
v1.PodCertificateProjection 1:signerName:s~ 2:keyType:s~ 3:maxExpirationSeconds:i?~ 4:credentialBundlePath:s~ 5:keyPath:s~ 6:certificateChainPath:s~ 7:userAnnotations:%s~
v1.PodCondition 1:type:s 7:observedGeneration:i~ 2:status:s 3:lastProbeTime:T~ 4:lastTransitionTime:T~ 5:reason:s~ 6:message:s~
v1.PodDNSConfig 1:nameservers:*s~ 2:searches:*s~ 3:options:*Mv1.PodDNSConfigOption~
v1.PodDNSConfigOption 1:name:s~ 2:value:s?~
v1.PodExecOptions 1:stdin:b~ 2:stdout:b~ 3:stderr:b~ 4:tty:b~ 5:container:s~ 6:command:*s
v1.PodExtendedResourceClaimStatus 1:requestMappings:*Mv1.ContainerExtendedResourceRequest 2:resourceClaimName:s
v1.PodIP 1:ip:s
v1.PodList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.Pod
v1.PodLogOptions 1:container:s~ 2:follow:b~ 3:previous:b~ 4:sinceSeconds:i?~ 5:sinceTime:T?~ 6:timestamps:b~ 7:tailLines:i?~ 8:limitBytes:i?~ 9:insecureSkipTLSVerifyBackend:b~ 10:stream:s?~
v1.PodOS 1:name:s
v1.PodPortForwardOptions 1:ports:*i~
v1.PodProxyOptions 1:path:s~
v1.PodReadinessGate 1:conditionType:s
v1.PodResourceClaim 1:name:s 3:resourceClaimName:s?~ 4:resourceClaimTemplateName:s?~
v1.PodResourceClaimStatus 1:name:s 2:resourceClaimName:s?~
v1.PodSchedulingGate 1:name:s
v1.PodSchedulingGroup 1:podGroupName:s?~
v1.PodSecurityContext 1:seLinuxOptions:Mv1.SELinuxOptions?~ 8:windowsOptions:Mv1.WindowsSecurityContextOptions?~ 2:runAsUser:i?~ 6:runAsGroup:i?~ 3:runAsNonRoot:b?~ 4:supplementalGroups:*i~ 12:supplementalGroupsPolicy:s?~ 5:fsGroup:i?~ 7:sysctls:*Mv1.Sysctl~ 9:fsGroupChangePolicy:s?~ 10:seccompProfile:Mv1.SeccompProfile?~ 11:appArmorProfile:Mv1.AppArmorProfile?~ 13:seLinuxChangePolicy:s?~
v1.PodSignature 1:podController:Mmeta.OwnerReference?~
v1.PodSpec 1:volumes:*Mv1.Volume~ 20:initContainers:*Mv1.Container~ 2:containers:*Mv1.Container 34:ephemeralContainers:*Mv1.EphemeralContainer~ 3:restartPolicy:s~ 4:terminationGracePeriodSeconds:i?~ 5:activeDeadlineSeconds:i?~ 6:dnsPolicy:s~ 7:nodeSelector:%s~ 8:serviceAccountName:s~ 9:serviceAccount:s~ 21:automountServiceAccountToken:b?~ 10:nodeName:s~ 11:hostNetwork:b~ 12:hostPID:b~ 13:hostIPC:b~ 27:shareProcessNamespace:b?~ 14:securityContext:Mv1.PodSecurityContext?~ 15:imagePullSecrets:*Mv1.LocalObjectReference~ 16:hostname:s~ 17:subdomain:s~ 18:affinity:Mv1.Affinity?~ 19:schedulerName:s~ 22:tolerations:*Mv1.Toleration~ 23:hostAliases:*Mv1.HostAlias~ 24:priorityClassName:s~ 25:priority:i?~ 26:dnsConfig:Mv1.PodDNSConfig?~ 28:readinessGates:*Mv1.PodReadinessGate~ 29:runtimeClassName:s?~ 30:enableServiceLinks:b?~ 31:preemptionPolicy:s?~ 32:overhead:%Q~ 33:topologySpreadConstraints:*Mv1.TopologySpreadConstraint~ 35:setHostnameAsFQDN:b?~ 36:os:Mv1.PodOS?~ 37:hostUsers:b?~ 38:schedulingGates:*Mv1.PodSchedulingGate~ 39:resourceClaims:*Mv1.PodResourceClaim~ 40:resources:Mv1.ResourceRequirements?~ 41:hostnameOverride:s?~ 43:schedulingGroup:Mv1.PodSchedulingGroup?~
v1.PodStatus 17:observedGeneration:i~ 1:phase:s~ 2:conditions:*Mv1.PodCondition~ 3:message:s~ 4:reason:s~ 11:nominatedNodeName:s~ 5:hostIP:s~ 16:hostIPs:*Mv1.HostIP~ 6:podIP:s~ 12:podIPs:*Mv1.PodIP~ 7:startTime:T?~ 10:initContainerStatuses:*Mv1.ContainerStatus~ 8:containerStatuses:*Mv1.ContainerStatus~ 9:qosClass:s~ 13:ephemeralContainerStatuses:*Mv1.ContainerStatus~ 14:resize:s~ 15:resourceClaimStatuses:*Mv1.PodResourceClaimStatus~ 18:extendedResourceClaimStatus:Mv1.PodExtendedResourceClaimStatus?~ 19:allocatedResources:%Q~ 20:resources:Mv1.ResourceRequirements?~ 21:nodeAllocatableResourceClaimStatuses:*Mv1.NodeAllocatableResourceClaimStatus~
v1.PodStatusResult 1:metadata:Mmeta.ObjectMeta~ 2:status:Mv1.PodStatus~
v1.PodTemplate 1:metadata:Mmeta.ObjectMeta~ 2:template:Mv1.PodTemplateSpec~
v1.PodTemplateList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.PodTemplate
v1.PodTemplateSpec 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.PodSpec~
v1.PortStatus 1:port:i 2:protocol:s 3:error:s?~
v1.PortworxVolumeSource 1:volumeID:s 2:fsType:s~ 3:readOnly:b~
v1.Preconditions 1:uid:s?~
v1.PreferAvoidPodsEntry 1:podSignature:Mv1.PodSignature 2:evictionTime:T~ 3:reason:s~ 4:message:s~
v1.PreferredSchedulingTerm 1:weight:i 2:preference:Mv1.NodeSelectorTerm
v1.Probe 1:.:Mv1.ProbeHandler 2:initialDelaySeconds:i~ 3:timeoutSeconds:i~ 4:periodSeconds:i~ 5:successThreshold:i~ 6:failureThreshold:i~ 7:terminationGracePeriodSeconds:i?~
v1.ProbeHandler 1:exec:Mv1.ExecAction?~ 2:httpGet:Mv1.HTTPGetAction?~ 3:tcpSocket:Mv1.TCPSocketAction?~ 4:grpc:Mv1.GRPCAction?~
v1.ProjectedVolumeSource 1:sources:*Mv1.VolumeProjection 2:defaultMode:i?~
v1.QuobyteVolumeSource 1:registry:s 2:volume:s 3:readOnly:b~ 4:user:s~ 5:group:s~ 6:tenant:s~
v1.RBDPersistentVolumeSource 1:monitors:*s 2:image:s 3:fsType:s~ 4:pool:s~ 5:user:s~ 6:keyring:s~ 7:secretRef:Mv1.SecretReference?~ 8:readOnly:b~
v1.RBDVolumeSource 1:monitors:*s 2:image:s 3:fsType:s~ 4:pool:s~ 5:user:s~ 6:keyring:s~ 7:secretRef:Mv1.LocalObjectReference?~ 8:readOnly:b~
v1.RangeAllocation 1:metadata:Mmeta.ObjectMeta~ 2:range:s 3:data:y
v1.ReplicationController 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.ReplicationControllerSpec~ 3:status:Mv1.ReplicationControllerStatus~
v1.ReplicationControllerCondition 1:type:s 2:status:s 3:lastTransitionTime:T~ 4:reason:s~ 5:message:s~
v1.ReplicationControllerList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.ReplicationController
v1.ReplicationControllerSpec 1:replicas:i?~ 4:minReadySeconds:i~ 2:selector:%s~ 3:template:Mv1.PodTemplateSpec?~
v1.ReplicationControllerStatus 1:replicas:i 2:fullyLabeledReplicas:i~ 4:readyReplicas:i~ 5:availableReplicas:i~ 3:observedGeneration:i~ 6:conditions:*Mv1.ReplicationControllerCondition~
v1.ResourceClaim 1:name:s 2:request:s~
v1.ResourceFieldSelector 1:containerName:s~ 2:resource:s 3:divisor:Q~
v1.ResourceHealth 1:resourceID:s 2:health:s~ 6:message:s?~
v1.ResourceQuota 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.ResourceQuotaSpec~ 3:status:Mv1.ResourceQuotaStatus~
v1.ResourceQuotaList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.ResourceQuota
v1.ResourceQuotaSpec 1:hard:%Q~ 2:scopes:*s~ 3:scopeSelector:Mv1.ScopeSelector?~
v1.ResourceQuotaStatus 1:hard:%Q~ 2:used:%Q~
v1.ResourceRequirements 1:limits:%Q~ 2:requests:%Q~ 3:claims:*Mv1.ResourceClaim~
v1.ResourceStatus 1:name:s 2:resources:*Mv1.ResourceHealth~
v1.SELinuxOptions 1:user:s~ 2:role:s~ 3:type:s~ 4:level:s~
v1.ScaleIOPersistentVolumeSource 1:gateway:s 2:system:s 3:secretRef:Mv1.SecretReference? 4:sslEnabled:b~ 5:protectionDomain:s~ 6:storagePool:s~ 7:storageMode:s~ 8:volumeName:s~ 9:fsType:s~ 10:readOnly:b~
v1.ScaleIOVolumeSource 1:gateway:s 2:system:s 3:secretRef:Mv1.LocalObjectReference? 4:sslEnabled:b~ 5:protectionDomain:s~ 6:storagePool:s~ 7:storageMode:s~ 8:volumeName:s~ 9:fsType:s~ 10:readOnly:b~
v1.ScopeSelector 1:matchExpressions:*Mv1.ScopedResourceSelectorRequirement~
v1.ScopedResourceSelectorRequirement 1:scopeName:s 2:operator:s 3:values:*s~
v1.SeccompProfile 1:type:s 2:localhostProfile:s?~
v1.Secret 1:metadata:Mmeta.ObjectMeta~ 5:immutable:b?~ 2:data:%y~ 4:stringData:%s~ 3:type:s~
v1.SecretEnvSource 1:.:Mv1.LocalObjectReference 2:optional:b?~
v1.SecretKeySelector 1:.:Mv1.LocalObjectReference 2:key:s 3:optional:b?~
v1.SecretList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.Secret
v1.SecretProjection 1:.:Mv1.LocalObjectReference 2:items:*Mv1.KeyToPath~ 4:optional:b?~
v1.SecretReference 1:name:s~ 2:namespace:s~
v1.SecretVolumeSource 1:secretName:s~ 2:items:*Mv1.KeyToPath~ 3:defaultMode:i?~ 4:optional:b?~
v1.SecurityContext 1:capabilities:Mv1.Capabilities?~ 2:privileged:b?~ 3:seLinuxOptions:Mv1.SELinuxOptions?~ 10:windowsOptions:Mv1.WindowsSecurityContextOptions?~ 4:runAsUser:i?~ 8:runAsGroup:i?~ 5:runAsNonRoot:b?~ 6:readOnlyRootFilesystem:b?~ 7:allowPrivilegeEscalation:b?~ 9:procMount:s?~ 11:seccompProfile:Mv1.SeccompProfile?~ 12:appArmorProfile:Mv1.AppArmorProfile?~
v1.SerializedReference 1:reference:Mv1.ObjectReference~
v1.Service 1:metadata:Mmeta.ObjectMeta~ 2:spec:Mv1.ServiceSpec~ 3:status:Mv1.ServiceStatus~
v1.ServiceAccount 1:metadata:Mmeta.ObjectMeta~ 2:secrets:*Mv1.ObjectReference~ 3:imagePullSecrets:*Mv1.LocalObjectReference~ 4:automountServiceAccountToken:b?~
v1.ServiceAccountList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.ServiceAccount
v1.ServiceAccountTokenProjection 1:audience:s~ 2:expirationSeconds:i?~ 3:path:s
v1.ServiceList 1:metadata:Mmeta.ListMeta~ 2:items:*Mv1.Service
v1.ServicePort 1:name:s~ 2:protocol:s~ 6:appProtocol:s?~ 3:port:i 4:targetPort:I~ 5:nodePort:i~
v1.ServiceProxyOptions 1:path:s~
v1.ServiceSpec 1:ports:*Mv1.ServicePort~ 2:selector:%s~ 3:clusterIP:s~ 18:clusterIPs:*s~ 4:type:s~ 5:externalIPs:*s~ 7:sessionAffinity:s~ 8:loadBalancerIP:s~ 9:loadBalancerSourceRanges:*s~ 10:externalName:s~ 11:externalTrafficPolicy:s~ 12:healthCheckNodePort:i~ 13:publishNotReadyAddresses:b~ 14:sessionAffinityConfig:Mv1.SessionAffinityConfig?~ 19:ipFamilies:*s~ 17:ipFamilyPolicy:s?~ 20:allocateLoadBalancerNodePorts:b?~ 21:loadBalancerClass:s?~ 22:internalTrafficPolicy:s?~ 23:trafficDistribution:s?~
v1.ServiceStatus 1:loadBalancer:Mv1.LoadBalancerStatus~ 2:conditions:*Mmeta.Condition~
v1.SessionAffinityConfig 1:clientIP:Mv1.ClientIPConfig?~
v1.SleepAction 1:seconds:i
v1.StorageOSPersistentVolumeSource 1:volumeName:s~ 2:volumeNamespace:s~ 3:fsType:s~ 4:readOnly:b~ 5:secretRef:Mv1.ObjectReference?~
v1.StorageOSVolumeSource 1:volumeName:s~ 2:volumeNamespace:s~ 3:fsType:s~ 4:readOnly:b~ 5:secretRef:Mv1.LocalObjectReference?~
v1.Sysctl 1:name:s 2:value:s
v1.TCPSocketAction 1:port:I 2:host:s~
v1.Taint 1:key:s 2:value:s~ 3:effect:s 4:timeAdded:T?~
v1.Toleration 1:key:s~ 2:operator:s~ 3:value:s~ 4:effect:s~ 5:tolerationSeconds:i?~
v1.TopologySelectorLabelRequirement 1:key:s 2:values:*s
v1.TopologySelectorTerm 1:matchLabelExpressions:*Mv1.TopologySelectorLabelRequirement~
v1.TopologySpreadConstraint 1:maxSkew:i 2:topologyKey:s 3:whenUnsatisfiable:s 4:labelSelector:Mmeta.LabelSelector?~ 5:minDomains:i?~ 6:nodeAffinityPolicy:s?~ 7:nodeTaintsPolicy:s?~ 8:matchLabelKeys:*s~
v1.TypedLocalObjectReference 1:apiGroup:s? 2:kind:s 3:name:s
v1.TypedObjectReference 1:apiGroup:s? 2:kind:s 3:name:s 4:namespace:s?~
v1.Volume 1:name:s 2:.:Mv1.VolumeSource
v1.VolumeDevice 1:name:s 2:devicePath:s
v1.VolumeMount 1:name:s 2:readOnly:b~ 7:recursiveReadOnly:s?~ 3:mountPath:s 4:subPath:s~ 5:mountPropagation:s?~ 6:subPathExpr:s~
v1.VolumeMountStatus 1:name:s 2:mountPath:s 3:readOnly:b~ 4:recursiveReadOnly:s?~ 5:volumeStatus:Mv1.VolumeStatus?~
v1.VolumeNodeAffinity 1:required:Mv1.NodeSelector?~
v1.VolumeProjection 1:secret:Mv1.SecretProjection?~ 2:downwardAPI:Mv1.DownwardAPIProjection?~ 3:configMap:Mv1.ConfigMapProjection?~ 4:serviceAccountToken:Mv1.ServiceAccountTokenProjection?~ 5:clusterTrustBundle:Mv1.ClusterTrustBundleProjection?~ 6:podCertificate:Mv1.PodCertificateProjection?~
v1.VolumeResourceRequirements 1:limits:%Q~ 2:requests:%Q~
v1.VolumeSource 1:hostPath:Mv1.HostPathVolumeSource?~ 2:emptyDir:Mv1.EmptyDirVolumeSource?~ 3:gcePersistentDisk:Mv1.GCEPersistentDiskVolumeSource?~ 4:awsElasticBlockStore:Mv1.AWSElasticBlockStoreVolumeSource?~ 5:gitRepo:Mv1.GitRepoVolumeSource?~ 6:secret:Mv1.SecretVolumeSource?~ 7:nfs:Mv1.NFSVolumeSource?~ 8:iscsi:Mv1.ISCSIVolumeSource?~ 9:glusterfs:Mv1.GlusterfsVolumeSource?~ 10:persistentVolumeClaim:Mv1.PersistentVolumeClaimVolumeSource?~ 11:rbd:Mv1.RBDVolumeSource?~ 12:flexVolume:Mv1.FlexVolumeSource?~ 13:cinder:Mv1.CinderVolumeSource?~ 14:cephfs:Mv1.CephFSVolumeSource?~ 15:flocker:Mv1.FlockerVolumeSource?~ 16:downwardAPI:Mv1.DownwardAPIVolumeSource?~ 17:fc:Mv1.FCVolumeSource?~ 18:azureFile:Mv1.AzureFileVolumeSource?~ 19:configMap:Mv1.ConfigMapVolumeSource?~ 20:vsphereVolume:Mv1.VsphereVirtualDiskVolumeSource?~ 21:quobyte:Mv1.QuobyteVolumeSource?~ 22:azureDisk:Mv1.AzureDiskVolumeSource?~ 23:photonPersistentDisk:Mv1.PhotonPersistentDiskVolumeSource?~ 26:projected:Mv1.ProjectedVolumeSource?~ 24:portworxVolume:Mv1.PortworxVolumeSource?~ 25:scaleIO:Mv1.ScaleIOVolumeSource?~ 27:storageos:Mv1.StorageOSVolumeSource?~ 28:csi:Mv1.CSIVolumeSource?~ 29:ephemeral:Mv1.EphemeralVolumeSource?~ 30:image:Mv1.ImageVolumeSource?~
v1.VolumeStatus 1:image:Mv1.ImageVolumeStatus?~
v1.VsphereVirtualDiskVolumeSource 1:volumePath:s 2:fsType:s~ 3:storagePolicyName:s~ 4:storagePolicyID:s~
v1.WeightedPodAffinityTerm 1:weight:i 2:podAffinityTerm:Mv1.PodAffinityTerm
v1.WindowsSecurityContextOptions 1:gmsaCredentialSpecName:s?~ 2:gmsaCredentialSpec:s?~ 3:runAsUserName:s?~ 4:hostProcess:b?~
";
