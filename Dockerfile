# Three images from one file:
#   docker build --target server      -t trainserve-server  .     serves model directories; no Torch, no shell needed, no root
#   docker build --target trainer     -t trainserve-trainer .     the console host `trainserve` with libtorch
#   docker build --target trainer-mpi -t trainserve-trainer-mpi . the same with Open MPI and sshd, for runs on several nodes
# For an NVIDIA machine: --build-arg ACCELERATOR=cuda --build-arg BASE_RUNTIME=<an image with CUDA, cuDNN and the ASP.NET Core runtime>
# podman and buildah: --format docker, or the HEALTHCHECK is lost.
ARG BASE_SDK=mcr.microsoft.com/dotnet/sdk:10.0
ARG BASE_RUNTIME=mcr.microsoft.com/dotnet/aspnet:10.0

# What a restore reads, and nothing else, with fixed times: a change in the code leaves this stage's result as it was.
FROM ${BASE_SDK} AS projects
WORKDIR /all
COPY global.json Directory.Build.props Directory.Build.targets Directory.Packages.props ./
COPY src src
RUN mkdir /projects \
 && find . -type f \( -name '*.csproj' -o -name '*.props' -o -name '*.targets' -o -name 'global.json' \) -exec cp --parents '{}' /projects \; \
 && find /projects -exec touch --date=@0 '{}' +

FROM ${BASE_SDK} AS build-server
ARG ACCELERATOR=cpu
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
WORKDIR /source
COPY --from=projects /projects .
RUN dotnet restore src/TrainServe.Server -p:Accelerator=${ACCELERATOR}
COPY .editorconfig ./
COPY src src
RUN dotnet publish src/TrainServe.Server -c Release --no-restore -p:Accelerator=${ACCELERATOR} -p:DebugType=none -o /app

FROM ${BASE_SDK} AS build-trainer
ARG ACCELERATOR=cpu
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
WORKDIR /source
COPY --from=projects /projects .
RUN dotnet restore src/TrainServe.Cli -p:Accelerator=${ACCELERATOR}
COPY .editorconfig ./
COPY src src
RUN dotnet publish src/TrainServe.Cli -c Release --no-restore -p:Accelerator=${ACCELERATOR} -p:DebugType=none -o /app

FROM ${BASE_RUNTIME} AS trainer
WORKDIR /work
COPY --from=build-trainer /app /app
COPY models/recipes /work/models/recipes
COPY models/datasets.yaml models/constitution.yaml /work/models/
# A new volume is mounted here with the owner that the directory has in the image.
RUN mkdir /models && chown 1654:1654 /models
# The trainer saves at SIGTERM, at most one step later.
STOPSIGNAL SIGTERM
ENV DOTNET_EnableDiagnostics=0
USER 1654:1654
ENTRYPOINT ["dotnet", "/app/trainserve.dll"]

# For the launcher and the workers of a run on several nodes; a worker waits for the launcher's ssh.
FROM ${BASE_RUNTIME} AS trainer-mpi
USER root
RUN apt-get update && apt-get install --yes --no-install-recommends openmpi-bin openssh-client openssh-server && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_*
COPY deploy/mpi/sshd_config /etc/ssh/sshd_trainserve
COPY deploy/mpi/ssh_config /etc/ssh/ssh_config
COPY deploy/mpi/key-of-job /usr/local/bin/
WORKDIR /work
COPY --from=trainer /app /app
COPY --from=trainer /work /work
STOPSIGNAL SIGTERM
USER 1654:1654
CMD ["/usr/sbin/sshd", "-De", "-f", "/etc/ssh/sshd_trainserve"]

FROM ${BASE_RUNTIME} AS server
WORKDIR /app
COPY --from=build-server /app .
COPY --chown=1654:1654 models /models
# A read-only root file system needs nothing else; the diagnostics port would want a socket in /tmp.
ENV ASPNETCORE_HTTP_PORTS=8080 TrainServe__Models=/models DOTNET_EnableDiagnostics=0
EXPOSE 8080
USER 1654:1654
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["dotnet", "/app/TrainServe.Server.dll", "healthcheck"]
ENTRYPOINT ["dotnet", "/app/TrainServe.Server.dll"]
