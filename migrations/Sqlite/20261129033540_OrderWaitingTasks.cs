using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Portal.Data.Sqlite
{
    /// <inheritdoc />
    public partial class OrderWaitingTasks : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropIndex(
                name: "IX_Tasks_ProjectId_State_Kind_Priority_Id",
                table: "Tasks");

            migrationBuilder.CreateIndex(
                name: "IX_Tasks_ProjectId_State_Kind_Priority_Id",
                table: "Tasks",
                columns: new[] { "ProjectId", "State", "Kind", "Priority", "Id" },
                descending: new[] { false, false, false, true, false });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropIndex(
                name: "IX_Tasks_ProjectId_State_Kind_Priority_Id",
                table: "Tasks");

            migrationBuilder.CreateIndex(
                name: "IX_Tasks_ProjectId_State_Kind_Priority_Id",
                table: "Tasks",
                columns: new[] { "ProjectId", "State", "Kind", "Priority", "Id" });
        }
    }
}
