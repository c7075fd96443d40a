//! Who claims what, found in the whole snapshot.
//!
//! Certain holders accuse; possible holders only protect. A stale endpoint is no holder.

use super::{Claim, Claimant, EndpointState, Ledger, Standing, Via};
use crate::model::{Addr, Endpoint, Grade, Input, LoadBalancerMode, Name, Orchestrator, Pod, Service};

impl<'s> Ledger<'s> {
    pub(super) fn list_claims(&mut self) {
        let mut claims = Vec::with_capacity(self.snapshot.pods.len());
        self.claim_for_pods(&mut claims);
        // Endpoints are graded by the pods' certain claims, so these must be in place first.
        claims.sort_unstable_by_key(|c| (c.address, c.by, c.via));
        self.claims = claims;
        self.endpoint_states = self.snapshot.endpoints.iter().map(|e| self.endpoint_state(e)).collect();
        let most = self.snapshot.endpoints.len() + self.snapshot.calico_nodes.len() + self.snapshot.services.len();
        let mut claims = Vec::with_capacity(most);
        self.claim_for_endpoints(&mut claims);
        self.claim_for_tunnels(&mut claims);
        self.claim_for_services(&mut claims);
        let of_host = |&address: &Addr| Claim::of(address, Grade::Possible, Claimant::HostEndpoint, Via::Object);
        claims.extend(self.snapshot.host_endpoint_addresses.iter().map(of_host));
        self.claims.reserve_exact(claims.len());
        self.claims.append(&mut claims);
        self.claims.sort_unstable_by_key(|c| (c.address, c.by, c.via));
        self.claims.dedup();
    }

    fn claim_for_pods(&self, claims: &mut Vec<Claim>) {
        for (pod, index) in self.snapshot.pods.iter().zip(0u32..) {
            if !pod.may_hold() {
                continue;
            }
            let mut claim = |address: Addr, grade: Grade, via: Via| {
                claims.push(Claim::of(address, grade, Claimant::Pod(index), via));
            };
            for &address in pod.addresses().iter() {
                claim(address, self.pod_grade(pod, address), Via::Object);
            }
            pod.network_status().iter().for_each(|&a| claim(a, Grade::Possible, Via::NetworkStatus));
            pod.floating().iter().for_each(|&a| claim(a, Grade::Possible, Via::Floating));
            pod.no_ipam().iter().for_each(|&a| claim(a, Grade::Possible, Via::NoIpam));
        }
    }

    /// The grade of a pod's claim on an address of its status.
    fn pod_grade(&self, pod: &Pod, address: Addr) -> Grade {
        if pod.is_terminating() || !self.pairing.holds() || !self.scope.kubernetes_node_is_ours(pod.node) {
            return Grade::Possible;
        }
        let mut own = self.endpoints_at_home(pod).peekable();
        let bare = own.peek().is_none();
        if own.any(|e| e.addresses().contains(&address)) || (bare && self.is_certain_without_endpoint(pod, address)) {
            Grade::Certain
        } else {
            Grade::Possible
        }
    }

    /// A Ready pod on a node that uses Calico's IPAM is a certain holder without any endpoint on its node: a
    /// restored backup loses endpoints together with allocations. One that host-local IPAM addresses is not Calico's to
    /// lose.
    fn is_certain_without_endpoint(&self, pod: &Pod, address: Addr) -> bool {
        let homes = self.scope.calico_names(pod.node);
        pod.ready
            && self.snapshot.coverage.complete(Input::Endpoints)
            && !self.is_host_local(pod, address)
            && homes.iter().any(|home| self.ipam_nodes.contains(home))
            && !homes.iter().any(|&home| self.dark.node(home))
    }

    fn claim_for_endpoints(&self, claims: &mut Vec<Claim>) {
        for (index, endpoint, state) in self.endpoints_with_states() {
            for &address in endpoint.addresses().iter() {
                let grade = if state.is_stale() {
                    Grade::Stale
                } else if state == EndpointState::Live && self.pod_is_certain(endpoint.namespace, endpoint.pod, address)
                {
                    Grade::Certain
                } else {
                    Grade::Possible
                };
                claims.push(Claim::of(address, grade, Claimant::Endpoint(index), Via::Object));
            }
            let grade = if state.is_stale() { Grade::Stale } else { Grade::Possible };
            let floating = endpoint.nats().iter().map(|nat| nat.external);
            claims.extend(floating.map(|a| Claim::of(a, grade, Claimant::Endpoint(index), Via::Floating)));
        }
    }

    /// All endpoints with their indices and what is known of the pods behind them.
    pub fn endpoints_with_states(&self) -> impl Iterator<Item = (u32, &'s Endpoint, EndpointState)> {
        let states = self.endpoint_states.iter().copied();
        self.snapshot
            .endpoints
            .iter()
            .zip(0u32..)
            .zip(states)
            .map(|((endpoint, index), state)| (index, endpoint, state))
    }

    /// [`Ledger::endpoint_state`] of the endpoint at this place of the snapshot's list.
    pub fn endpoint_state_at(&self, index: u32) -> EndpointState {
        self.endpoint_states.get(index as usize).copied().unwrap_or(EndpointState::NotJudged)
    }

    /// What is known of the pod behind an endpoint.
    pub fn endpoint_state(&self, endpoint: &Endpoint) -> EndpointState {
        let judged = endpoint.orchestrator() == Orchestrator::Kubernetes
            && !endpoint.pod.is_none()
            && self.scope.judged(endpoint.node)
            && self.pairing.holds()
            && self.snapshot.coverage.complete(Input::Pods);
        if !judged {
            return EndpointState::NotJudged;
        }
        let Some(pod) = self.pod(endpoint.namespace, endpoint.pod) else { return EndpointState::NoPod };
        if pod.phase.is_finished() {
            EndpointState::Finished
        } else if pod.may_hold() && pod.node == self.scope.kubernetes_name(endpoint.node) {
            EndpointState::Live
        } else if pod.may_hold() && pod.addresses().iter().any(|&a| self.pod_is_certain(pod.namespace, pod.name, a)) {
            EndpointState::Elsewhere
        } else {
            EndpointState::Undecided
        }
    }

    /// Whether this pod is a certain holder of this address.
    pub fn pod_is_certain(&self, namespace: Name, name: Name, address: Addr) -> bool {
        let Some(index) = self.pod_place(namespace, name) else { return false };
        self.claims_at(address).iter().any(|c| c.by == Claimant::Pod(index) && c.grade == Grade::Certain)
    }

    fn claim_for_tunnels(&self, claims: &mut Vec<Claim>) {
        for (node, index) in self.snapshot.calico_nodes.iter().zip(0u32..) {
            let departed = self.scope.standing(node.name) == Standing::Departed;
            let grade = if departed { Grade::Stale } else { Grade::Certain };
            let tunnels = node.tunnels.iter().map(|&(tunnel, address)| (Claimant::Tunnel(index, tunnel), address));
            claims.extend(tunnels.map(|(by, address)| Claim::of(address, grade, by, Via::Object)));
        }
    }

    fn claim_for_services(&self, claims: &mut Vec<Claim>) {
        for (service, index) in self.snapshot.services.iter().zip(0u32..) {
            let grade = if self.is_managed(service) { Grade::Certain } else { Grade::Possible };
            let ingress = service.ingress.iter();
            claims.extend(ingress.map(|&address| Claim::of(address, grade, Claimant::Service(index), Via::Object)));
        }
    }

    /// Whether Calico manages the addresses of this service (domain facts, section 1).
    pub fn is_managed(&self, service: &Service) -> bool {
        let class = service.class.map(|c| self.text(c));
        let calico = class.is_none_or(|c| c == "calico");
        service.load_balancer
            && match self.snapshot.kube_controllers.load_balancer {
                None => false,
                Some(LoadBalancerMode::AllServices) => calico,
                Some(LoadBalancerMode::RequestedServicesOnly) => {
                    class == Some("calico") || (class.is_none() && service.requests_address)
                }
            }
    }

    /// The pods that claim `address` with this grade by their status.
    pub fn pods_by_grade(&self, address: Addr, grade: Grade) -> impl Iterator<Item = &'s Pod> {
        let pods = &self.snapshot.pods;
        self.claims_at(address).iter().filter(move |c| c.grade == grade && c.via == Via::Object).filter_map(move |c| {
            match c.by {
                Claimant::Pod(index) => pods.get(index as usize),
                _ => None,
            }
        })
    }

    /// The endpoints whose `ipNetworks` list `address`, of every grade and standing.
    pub fn endpoints_at(&self, address: Addr) -> impl Iterator<Item = (&'s Endpoint, Grade)> {
        let endpoints = &self.snapshot.endpoints;
        self.claims_at(address).iter().filter(|c| c.via == Via::Object).filter_map(move |c| match c.by {
            Claimant::Endpoint(index) => endpoints.get(index as usize).map(|e| (e, c.grade)),
            _ => None,
        })
    }
}
