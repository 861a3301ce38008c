using System.Net;
using System.Net.Sockets;

namespace TrainServe.TestSupport;

/// <summary>A port of the loopback address that nothing listens on, for programs that have to be told one.</summary>
public static class FreePort
{
    public static int Find()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
