"""A small Greengrass V2 core device, speaking the protocol of the nucleus; it knows nothing of the local platform.

    run            a core as a stream of rows
    agent          its connection, deployments, components and reports, on one event loop
    provision      its own thing, certificate, policy and role alias
    place          where it keeps its things
    state          what it must know after a restart
    channel        its deployments, message by message: jobs and shadow                      (pure)
    document       the deployment document                                                   (pure)
    deployer       one deployment: validate, resolve, download, configure, merge, track
    cloud          what it asks over HTTPS
    resolve        which versions of which components                                        (pure)
    artifacts      downloaded, resumed, checked
    archive        unpacked
    presign        signed URLs of S3                                                         (pure)
    configure      from component versions to units that run
    configuration  merged, reset, read by JSON pointers                                      (pure)
    interpolation  recipe variables                                                          (pure)
    unit           manifest and lifecycle of a recipe for this platform                      (pure)
    supervisor     all components: order, dependencies
    component      one component: its states, restarts, its end
    processes      a script as a child process
    tokens         credentials for components
    reporter       when it reports its health
    health         what it reports of itself                                                 (pure)
    faults         why a deployment failed, in the nucleus' words

What needs Docker, Greengrass IPC (other than MQTT), Lambda, a plugin, root, or limits by cgroups fails its deployment
with that reason. Sources: the Greengrass V2 developer guide; the nucleus' own sources, named where they decide.
"""
